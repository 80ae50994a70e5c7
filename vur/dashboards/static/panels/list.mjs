// Lines with a dot: {title, items: [{text, detail, tone: good|warn|bad|info, at, href, label, event, values}], empty, actions}.
import { buttons, card, element, safe } from "../dom.mjs";
import { ago, date } from "../format.mjs";

export function paint({ root, send }, content) {
  const items = content.items ?? [];
  const list = element("ul", { class: "v-list" }, items.map((one) => element("li", {},
    element("span", { class: `v-dot ${one.tone ?? "info"}`, "aria-hidden": "true" }),
    element("div", { class: "v-line" },
      one.href ? element("a", { href: safe(one.href) }, one.text) : element("span", {}, one.text),
      one.detail ? element("small", {}, one.detail) : null),
    one.at ? element("time", { datetime: one.at, title: date(one.at, { time: true, zoned: true }) }, ago(one.at)) : null,
    ...buttons(one.event ? [{ event: one.event, label: one.label, values: one.values, kind: "small" }] : one.buttons, send))));
  const actions = card(root, content, items.length ? list : element("p", { class: "v-empty" }, content.empty ?? "–"));
  actions?.append(...buttons(content.actions, send));
}
