// Shares of a whole as bars: {title, note, total, items: [{label, value, type, note, tone: good|warn|bad|muted, event, values}], empty, actions}.
// Without a `total` the largest value is the full width. An item with an event is a button.
import { buttons, card, element } from "../dom.mjs";
import { format } from "../format.mjs";

export function paint({ root, send }, content) {
  const items = content.items ?? [];
  const whole = content.total || Math.max(...items.map((one) => one.value), 0) || 1;
  const list = element("ul", { class: "v-bars" }, items.map((one) => {
    const share = Math.min(one.value / whole, 1);
    const name = one.event
      ? element("button", { type: "button", class: "v-link", onclick: () => send(one.event, one.values) }, one.label)
      : element("span", {}, one.label);
    const fill = element("i", { class: one.tone ?? "" });
    fill.style.width = `${Math.max(100 * share, one.value ? 0.5 : 0)}%`;
    return element("li", {},
      element("div", { class: "v-barname" }, name, one.note ? element("small", {}, one.note) : null),
      element("div", { class: "v-bar", "aria-hidden": "true" }, fill),
      element("span", { class: "v-barvalue" }, format(one.value, one.type ?? "number", one)));
  }));
  const actions = card(root, content, items.length ? list : element("p", { class: "v-empty" }, content.empty ?? "–"));
  actions?.append(...buttons(content.actions, send));
}
