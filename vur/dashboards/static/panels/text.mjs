// Words: {title, text, lines: [..], tone, facts: [[label, value, type]], more: {label, lines}, actions}.
import { buttons, card, element } from "../dom.mjs";
import { format } from "../format.mjs";

export function paint({ root, send }, content) {
  root.dataset.tone = content.tone ?? "";
  const facts = content.facts?.length
    ? element("dl", { class: "v-facts" }, content.facts.flatMap(([label, value, type]) => [element("dt", {}, label), element("dd", {}, format(value, type ?? "text"))]))
    : null;
  const actions = card(root, { ...content, actions: content.title ? content.actions : null },
    content.text ? element("p", {}, content.text) : null,
    content.lines?.length ? element("ul", { class: "v-lines" }, content.lines.map((line) => element("li", {}, line))) : null,
    facts,
    content.more ? element("details", { class: "v-more" }, element("summary", {}, content.more.label), element("ul", { class: "v-lines" }, content.more.lines.map((line) => element("li", {}, line)))) : null,
    content.actions?.length && !content.title ? element("div", { class: "v-actions" }, buttons(content.actions, send)) : null);
  actions?.append(...buttons(content.actions, send));
}
