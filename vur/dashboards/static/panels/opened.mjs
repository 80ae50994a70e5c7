// What a page has open: {title, note, lines, back: {event, label}, actions, menu: {label, items: [{label, href, download, note}]}}.
import { buttons, card, element, safe } from "../dom.mjs";

function menu(content) {
  const list = element("div", { class: "v-choose" }, content.items.map((one) => element("a",
    { href: safe(one.href), download: one.download ?? null }, one.label, one.note ? element("small", {}, one.note) : null)));
  const made = element("details", { class: "v-dropdown" }, element("summary", { class: "v-button" }, content.label, element("i", { "aria-hidden": "true" }, "▾")), list);
  const close = () => { made.open = false; };
  list.addEventListener("click", close);
  made.addEventListener("focusout", (event) => { if (!made.contains(event.relatedTarget)) close(); });
  made.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { close(); made.firstElementChild.focus(); }
  });
  return made;
}

export function paint({ root, send }, content) {
  const back = content.back ? element("div", { class: "v-back" }, buttons([{ kind: "small", ...content.back }], send)) : null;
  const lines = content.lines?.length ? element("ul", { class: "v-lines" }, content.lines.map((line) => element("li", {}, line))) : null;
  const actions = card(root, content, lines);
  actions?.append(...buttons(content.actions, send), ...(content.menu ? [menu(content.menu)] : []));
  if (back) root.prepend(back);
}
