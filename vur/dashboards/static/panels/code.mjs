// The same in code: {title, tabs: [{label, text}], copy: "Copy", copied: "Copied", actions}.
import { buttons, card, element } from "../dom.mjs";

export function paint(context, content) {
  const { root, send } = context;
  const tabs = content.tabs ?? [];
  context.at = Math.min(context.at ?? 0, Math.max(0, tabs.length - 1));
  const box = element("pre", { tabindex: "0", role: "tabpanel" }, element("code", {}, tabs[context.at]?.text ?? ""));
  const bar = element("div", { class: "v-tabs", role: "tablist" }, tabs.map((one, at) => element("button",
    { type: "button", role: "tab", "aria-selected": String(at === context.at), onclick: () => { context.at = at; paint(context, content); } }, one.label)));
  const copy = element("button", { type: "button", class: "v-button small", onclick: async () => {
    await navigator.clipboard.writeText(tabs[context.at]?.text ?? "");
    copy.textContent = content.copied ?? "✓";
  } }, content.copy ?? "Copy");
  const inside = [element("div", { class: "v-codebar" }, bar, copy), box];
  const actions = card(root, content, content.folded
    ? element("details", { open: context.open ?? false, ontoggle: (event) => { context.open = event.target.open; } }, element("summary", {}, content.folded), ...inside)
    : inside);
  actions?.append(...buttons(content.actions, send));
}
