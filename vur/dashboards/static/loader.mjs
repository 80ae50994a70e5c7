// Sent with every panel; the rest comes from the pages' server, or from the kernel where no such server is (JupyterLab).
const KEY = "__vurPanels";

async function fromKernel(model) {
  const texts = await new Promise((resolve) => {
    const receive = (message, buffers) => {
      if (!message.modules) return;
      model.off("msg:custom", receive);
      const decode = (one) => new TextDecoder().decode(one instanceof DataView ? one : new Uint8Array(one));
      resolve(Object.fromEntries(message.modules.map((name, at) => [name, decode(buffers[at])])));
    };
    model.on("msg:custom", receive);
    model.send({ ask: "modules" });
  });
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
  return panel;
}

function library(model) {
  const served = document.body.dataset.vurStatic;
  globalThis[KEY] ??= served ? import(new URL(served + "panel.mjs", location.href).href) : fromKernel(model);
  return globalThis[KEY];
}

export default {
  async render({ model, el }) {
    if (model.get("picture")) el.innerHTML = model.get("picture");
    const { draw } = await library(model);
    return draw(model, el);
  },
};
