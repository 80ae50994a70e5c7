// Who competes: {title, note, presets: [{id, label, detail, seconds, chosen, text}], families: [{label, cards: [{id, label, text, tags, chosen, quiet,
// parameters, set, opened}]}], network: {label, text, chosen}, texts}. Events: preset {id}, toggle {id}, parameters {id}, network.
import { card, element } from "../dom.mjs";
import { duration } from "../format.mjs";

export const height = "tall";

export function paint(context, content) {
  const { root, send } = context;
  if (content.hidden) return;
  const texts = content.texts ?? {};
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const presets = element("div", { class: "v-presets", role: "group", "aria-label": content.title }, (content.presets ?? []).map((one) => element("button",
    { type: "button", class: "v-choice", "aria-pressed": String(one.chosen), "data-preset": one.id, "data-focus": "p-" + one.id, onclick: () => send("preset", { id: one.id }) },
    element("strong", {}, one.label), element("span", {}, one.text), element("small", {}, `${one.detail} · ≈ ${duration(Math.max(1, one.seconds))}`))));
  const families = (content.families ?? []).filter((family) => family.cards.length).map((family) => element("section", { class: "v-family" },
    element("h3", {}, family.label),
    element("div", { class: "v-algorithms" }, family.cards.map((one) => element("div", { class: `v-choice v-algorithm ${one.quiet ? "quiet" : ""}`, "data-chosen": String(one.chosen), "data-algorithm": one.id },
      element("label", {}, element("input", { type: "checkbox", checked: one.chosen, "data-focus": "t-" + one.id, onchange: () => send("toggle", { id: one.id }) }), element("strong", {}, one.label)),
      element("span", {}, one.text),
      element("small", {}, [...one.tags, ...(one.quiet ? [texts.quiet] : [])].join(" · ")),
      one.parameters ? element("button", { type: "button", class: "v-button small", "aria-expanded": String(one.opened), "data-focus": "f-" + one.id, onclick: () => send("parameters", { id: one.id }) },
        texts.parameters, one.set ? element("span", { class: "v-badge" }, String(one.set)) : null) : null)))));
  const own = content.network ? element("button", { type: "button", class: "v-choice", "aria-pressed": String(content.network.chosen), "data-network": "own", "data-focus": "network", onclick: () => send("network") },
    element("strong", {}, content.network.label), element("span", {}, content.network.text)) : null;
  const anyChosen = (content.families ?? []).some((family) => family.cards.some((one) => one.chosen));
  context.open ??= anyChosen;
  const byHand = element("details", { open: context.open || anyChosen, ontoggle: (event) => { context.open = event.target.open; } },
    element("summary", {}, texts.by_hand), element("p", { class: "v-note" }, texts.by_hand_note), ...families, own ? element("div", { class: "v-presets" }, own) : null);
  card(root, content, presets, byHand);
  if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
