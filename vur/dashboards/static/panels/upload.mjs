// A file straight to the service: {title, path: "datasets/upload", fields: {name: value}, accept, drop, choose, sending, failed, cancel}. Event `uploaded` with {answer},
// `refused` with {detail, code}. The bytes do not pass through the kernel.
import { base, card, element, xsrf } from "../dom.mjs";
import { bytes, percent } from "../format.mjs";

const said = (name, detail) => detail.includes(name) ? detail : `${name}: ${detail}`;

export function paint(context, content) {
  const { root, send } = context;
  const input = element("input", { type: "file", accept: content.accept ?? null, class: "v-hidden", id: "u" + Math.random().toString(36).slice(2), "aria-label": content.choose });
  const bar = element("progress", { max: 1, value: 0, hidden: true, "aria-label": content.sending });
  const words = element("p", { class: "v-note", role: "status" });
  const zone = element("label", { class: "v-drop", for: input.id },
    element("strong", {}, content.drop), element("span", { class: "v-button" }, content.choose), input, bar, words);
  let request = null;
  const waiting = context.waiting ??= [];
  const take = async (file) => {
    if (!file) return;
    if (request) { waiting.push(file); return; }  // one after the other
    const data = new FormData();
    for (const [key, value] of Object.entries(content.fields ?? {})) data.append(key, value);
    data.append("file", file, file.name);
    request = new XMLHttpRequest();
    request.open(content.method ?? "POST", `${base()}vur/api/${content.path}`);
    request.setRequestHeader("X-XSRFToken", xsrf());
    request.setRequestHeader("Accept-Language", document.documentElement.lang);
    request.upload.addEventListener("progress", (event) => {
      bar.hidden = false;
      bar.value = event.total ? event.loaded / event.total : 0;
      words.textContent = `${content.sending} ${file.name}: ${percent(bar.value, 0)} (${bytes(event.loaded)})`;
    });
    const finish = async () => {
      const { status, responseText } = request;
      request = null;
      bar.hidden = true;
      input.value = "";
      let answer;
      try { answer = JSON.parse(responseText); } catch { answer = { detail: content.failed }; }
      if (status >= 200 && status < 300) {
        words.textContent = "";
        await send("uploaded", { answer });
      } else {
        words.textContent = "";
        zone.querySelector(".v-error")?.remove();
        zone.append(element("p", { class: "v-error", role: "alert" }, said(file.name, answer.detail ?? content.failed)));
        await send("refused", { detail: String(answer.detail ?? ""), code: String(answer.code ?? ""), name: file.name }, true);
      }
      take(waiting.shift());
    };
    zone.querySelector(".v-error")?.remove();
    request.addEventListener("load", finish);
    request.addEventListener("error", finish);
    request.send(data);
  };
  input.addEventListener("change", () => [...input.files].forEach(take));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); [...event.dataTransfer.files].forEach(take); });
  card(root, content, zone);
}
