// An address to hand on: {title, text, path, url, copy, copied}. `path` is under the pages' own address; `url` stands in for it elsewhere.
import { base, card, element } from "../dom.mjs";

export function paint({ root }, content) {
  if (!content.path) return root.replaceChildren();
  const address = document.body.dataset.vurBase !== undefined ? new URL(base() + content.path, location.href).href : content.url;
  const copy = element("button", { type: "button", class: "v-button primary", onclick: async () => {
    await navigator.clipboard.writeText(address);
    copy.textContent = content.copied;
  } }, content.copy);
  card(root, content,
    content.text ? element("p", { class: "v-note" }, content.text) : null,
    element("div", { class: "v-codebar" }, element("a", { href: address, target: "_blank", rel: "noopener noreferrer", class: "v-link" }, address), copy));
}
