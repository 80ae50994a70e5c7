// Views of one thing: {items: [{name, label, count}], current, label}. Event `tab` with {name}. Arrow keys move between them.
import { element } from "../dom.mjs";
import { number } from "../format.mjs";

export function paint({ root, send }, content) {
  const items = content.items ?? [];
  const focused = root.contains(document.activeElement);
  const tabs = items.map((one) => element("button", {
    type: "button", role: "tab", "data-tab": one.name, "aria-selected": String(one.name === content.current),
    tabindex: one.name === content.current ? "0" : "-1", onclick: () => send("tab", { name: one.name }),
  }, one.label, one.count ? element("small", {}, " " + number(one.count)) : null));
  const bar = element("div", { class: "v-tabs", role: "tablist", "aria-label": content.label ?? null }, tabs);
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.indexOf(document.activeElement);
    if (step && at >= 0) tabs[(at + step + tabs.length) % tabs.length].focus();
  });
  root.replaceChildren(bar);
  if (focused) tabs.find((one) => one.tabIndex === 0)?.focus();
}
