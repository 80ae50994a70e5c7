// A small text file whose content goes to Python: {title, note, accept, choose, too_long}. Event `read` with {name, text}.
import { card, element } from "../dom.mjs";

const LONGEST = 256 * 1024;

export function paint({ root, send }, content) {
  if (content.hidden) return;
  const words = element("p", { class: "v-error", role: "alert", hidden: true });
  const input = element("input", { type: "file", accept: content.accept ?? null, class: "v-hidden", id: "d" + Math.random().toString(36).slice(2), "aria-label": content.choose });
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    words.hidden = file.size <= LONGEST;
    words.textContent = file.size <= LONGEST ? "" : content.too_long;
    if (file.size <= LONGEST) await send("read", { name: file.name, text: await file.text() });
    input.value = "";
  });
  card(root, content, element("label", { class: "v-button v-filebutton", for: input.id }, content.choose, input), words);
}
