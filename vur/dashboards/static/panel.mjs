// Draws a panel: finds the module of its kind, redraws when its content changes, and carries events to Python.
import { element } from "./dom.mjs";
import { speaking } from "./format.mjs";

let load = (kind) => import(new URL(`panels/${kind}.mjs`, import.meta.url).href);
export function setPanels(loader) { load = loader; }

let number = 0;
const waiting = new Map();

// Calls a handler in Python; resolves to the words of its error, or null. `quiet` leaves the panel as it is meanwhile.
export function call(model, event, values, root, quiet = false) {
  const id = ++number;
  return new Promise((resolve) => {
    const busy = !quiet && root ? setTimeout(() => root.setAttribute("aria-busy", "true"), 150) : null;
    waiting.set(id, (error) => {
      clearTimeout(busy);
      root?.removeAttribute("aria-busy");
      resolve(error);
    });
    try {
      model.send({ event, values: values ?? null, id });
    } catch {  // the kernel has gone for good: the heading says so
      waiting.get(id)("");
      waiting.delete(id);
      document.dispatchEvent(new Event("vur-lost"));
    }
  });
}

export async function draw(model, el) {
  const kind = model.get("kind");
  const root = element("section", { class: `v-panel v-is-${kind}`, "data-kind": kind });
  el.classList.add("v-host");
  el.replaceChildren(root);
  const module = await load(kind);
  const context = {
    model,
    root,
    send: (event, values, quiet) => call(model, event, values, root, quiet),
    language: () => document.documentElement.lang || "en",
  };
  const messages = (message, buffers) => {
    if (message.done !== undefined) {
      waiting.get(message.done)?.(message.error);
      waiting.delete(message.done);
    } else {
      module.message?.(context, message, buffers);
    }
  };
  const paint = () => {
    const content = model.get("content");
    const empty = Object.keys(content).length === 0;
    root.classList.toggle("v-waiting", empty);
    if (empty && kind !== "heading") {
      root.replaceChildren(element("div", { class: "v-skeleton " + (module.height === "tall" ? "tall" : "") }));
      return;
    }
    root.hidden = content.hidden === true;
    if (content.language) root.lang = content.language;
    speaking(content.language, () => module.paint(context, content));
    root.dataset.ready = "true";
  };
  model.on("change:content", paint);
  model.on("msg:custom", messages);
  module.start?.(context);
  paint();
  return () => {
    model.off("change:content", paint);
    model.off("msg:custom", messages);
    module.stop?.(context);
  };
}
