// The steps of a wizard: {items: [{name, label, state: done|current|open|locked}]}; event `step` with {name}.
import { card, element } from "../dom.mjs";

export function paint(context, content) {
  const { root, send } = context;
  const items = content.items ?? [];
  const current = items.find((one) => one.state === "current")?.name;
  card(root, content, element("ol", { class: "v-steplist" }, items.map((one, at) => element("li", { class: one.state, "aria-current": one.state === "current" ? "step" : null },
    element("button", { type: "button", disabled: one.state === "locked", "data-step": one.name, "aria-label": one.label, onclick: () => send("step", { name: one.name }) },
      element("i", { "aria-hidden": "true" }, one.state === "done" ? "✓" : String(at + 1)), element("span", {}, one.label))))));
  if (context.current && current && context.current !== current) {  // another step begins at its top
    scrollTo({ top: 0 });
    root.querySelector("[aria-current] button")?.focus({ preventScroll: true });
  }
  context.current = current ?? context.current;
}
