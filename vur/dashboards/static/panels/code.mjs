// The same in code: {title, tabs: [{label, text}], copy: "Copy", copied: "Copied", folded, notebook: {path, open, download, file}}.
// Where JupyterLab runs, `notebook.path` (beneath its address) opens the notebook there; elsewhere it is downloaded from `notebook.file`.
// Event `opened` when the code is unfolded.
import { buttons, card, element } from "../dom.mjs";

// JupyterLab's address stands in the navigation of those who may use it.
function notebook({ path, open, download, file }, send) {
  const lab = document.querySelector("a[data-lab]")?.href;
  return lab ? [element("a", { class: "v-button", href: new URL(path, lab).href, target: "_blank", rel: "noopener" }, open)]
    : buttons([{ href: file, label: download, download: "pipeline.ipynb" }], send);
}

export function paint(context, content) {
  const { root, send } = context;
  const tabs = content.tabs ?? [];
  context.at = Math.min(context.at ?? 0, Math.max(0, tabs.length - 1));
  const box = element("pre", { tabindex: "0", role: "tabpanel" }, element("code", {}, tabs[context.at]?.text ?? ""));
  const bar = element("div", { class: "v-tabs", role: "tablist" }, tabs.map((one, at) => element("button",
    { type: "button", role: "tab", "aria-selected": String(at === context.at), onclick: () => { context.at = at; paint(context, content); } }, one.label)));
  const copy = element("button", { type: "button", class: "v-button small", onclick: async () => {
    await navigator.clipboard.writeText(tabs[context.at]?.text ?? "");
    copy.textContent = content.copied ?? "✓";
  } }, content.copy ?? "Copy");
  const inside = [element("div", { class: "v-codebar" }, bar, copy), box];
  const actions = card(root, { ...content, actions: [] }, content.folded
    ? element("details", { open: context.open ?? false, ontoggle: (event) => {
      if (event.target.open && !context.open) send("opened", {}, true);
      context.open = event.target.open;
    } }, element("summary", {}, content.folded), ...inside)
    : inside);
  if (content.notebook) actions?.append(...notebook(content.notebook, send));
}
