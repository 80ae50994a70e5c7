// A training: {title, note, state: ready|queued|training|trained|failed|cancelled, percent, stage, eta, epoch: [n, of], best, error, log: [..], texts, actions}.
import { buttons, card, element } from "../dom.mjs";
import { duration, number } from "../format.mjs";

export function paint(context, content) {
  const { root, send } = context;
  if (content.hidden) return;
  const texts = content.texts ?? {};
  const parts = [];
  root.dataset.state = content.state;
  if (content.percent !== undefined && content.state !== "ready") {
    parts.push(element("div", { class: "v-progress" },
      element("progress", { max: 100, value: content.percent, "aria-label": texts.progress }),
      element("strong", {}, `${number(content.percent, 0)} %`)));
    const said = [content.stage, content.epoch ? `${texts.epoch} ${content.epoch[0]}/${content.epoch[1] ?? "?"}` : null,
      content.eta !== null && content.eta !== undefined ? `${texts.left} ${duration(content.eta)}` : null,
      content.best ? `${texts.best ?? texts.used} ${content.best.name}, ${content.best.metric} ${number(content.best.value, 3)}` : null].filter(Boolean);
    if (said.length) parts.push(element("p", { class: "v-note", role: "status" }, said.join(" · ")));
  }
  if (content.error) parts.push(element("p", { class: "v-error", role: "alert" }, content.error));
  if (content.log?.length) {
    const old = root.querySelector("pre");
    const atEnd = !old || old.scrollTop + old.clientHeight >= old.scrollHeight - 20;
    const box = element("pre", { class: "v-log", tabindex: "0", "aria-label": texts.log }, content.log.join("\n"));
    context.open ??= content.state === "training" || content.state === "failed";
    parts.push(element("details", { open: context.open, ontoggle: (event) => { context.open = event.target.open; } }, element("summary", {}, texts.log), box));
    requestAnimationFrame(() => { box.scrollTop = atEnd ? box.scrollHeight : old.scrollTop; });
  }
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.event : null;
  const actions = card(root, { ...content, actions: null }, ...parts, element("div", { class: "v-actions" }, buttons(content.actions, send)));
  actions?.append();
  if (focused) root.querySelector(`[data-event="${CSS.escape(focused)}"]`)?.focus();
}
