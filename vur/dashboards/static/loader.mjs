// Sent with every panel; the rest comes from the pages' server, or from the kernel where no such server is (JupyterLab).
const KEY = "__vurPanels";
const PATIENCE = 5_000;

async function library(texts) {
  const style = document.createElement("style");
  style.textContent = texts["vur.css"];
  document.head.append(style);
  const made = {};
  const address = (name) => {
    // `import ... from "./x.mjs"` and `import("./x.mjs")` need addresses that a blob can resolve.
    made[name] ??= URL.createObjectURL(new Blob([texts[name].replace(
      /(["'])(\.{1,2}\/[\w./-]+\.mjs)\1/g,
      (_, quote, path) => quote + address(new URL(path, "vur://x/" + name).pathname.replace(/^\//, "")) + quote,
    )], { type: "text/javascript" }));
    return made[name];
  };
  const panel = await import(address("panel.mjs"));
  panel.setPanels((kind) => import(address(`panels/${kind}.mjs`)));
  followTheme();
  return panel;
}

// JupyterLab tells its theme on the body.
function followTheme() {
  const apply = () => {
    const light = document.body.dataset.jpThemeLight;
    if (light === undefined) return;
    document.documentElement.dataset.theme = light === "false" ? "dark" : "light";
    dispatchEvent(new CustomEvent("vur-theme"));
  };
  apply();
  new MutationObserver(apply).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
}

// What one kernel answers serves all panels of the document. A panel whose kernel has gone never gets an answer: after a
// while the others ask theirs.
function fromKernel(model) {
  const shared = globalThis[KEY] ??= (() => {
    const made = {};
    made.library = new Promise((resolve) => { made.resolve = resolve; });
    return made;
  })();
  const ask = () => {
    if (shared.answered) return;
    const receive = (message, buffers) => {
      if (!message.modules) return;
      model.off("msg:custom", receive);
      if (shared.answered) return;
      shared.answered = true;
      const decode = (one) => new TextDecoder().decode(one instanceof DataView ? one : new Uint8Array(one));
      shared.resolve(library(Object.fromEntries(message.modules.map((name, at) => [name, decode(buffers[at])]))));
    };
    model.on("msg:custom", receive);
    model.send({ ask: "modules" });
  };
  if (shared.asked) setTimeout(ask, PATIENCE);
  else ask();
  shared.asked = true;
  return shared.library;
}

// The static picture of a widget is an output of its own, which this rule hides wherever it is drawn anew.
function hidePicture(name) {
  const style = document.createElement("style");
  style.textContent = `.jp-OutputArea-child:has(.${name}),.${name}{display:none}`;
  document.head.append(style);
}

export default {
  async render({ model, el }) {
    const served = document.body.dataset.vurStatic;
    const { draw } = await (served
      ? globalThis[KEY] ??= import(new URL(served + "panel.mjs", location.href).href)
      : fromKernel(model));
    if (model.get("picture")) hidePicture(model.get("picture"));
    return draw(model, el);
  },
};
