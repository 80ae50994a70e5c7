// What if: {title, note, fields: [{name, value, min, max} or {name, value, options: [[value, label]]}, each with {label, moved, detail, error}], answer: {text, detail, tone},
// filters, texts: {exact, back, reset, moved}, canReset}. Events: move {name, value}, back {name}, reset, filter {name, value}.
// A number is moved along its range in 200 steps, or typed beside it, where one beyond the range is sent as well: Python says why it is refused.
import { buttons, card, element, filters } from "../dom.mjs";
import { number } from "../format.mjs";

const STEPS = 200, REST = 200; // milliseconds after the last movement
const plain = (value) => Number(value.toPrecision(6));

function slider(one, texts, send, id) {
  const span = one.max - one.min;
  const valueAt = (place) => place <= 0 ? one.min : place >= STEPS ? one.max : one.min + span * place / STEPS;
  const range = element("input", { type: "range", id, min: 0, max: STEPS, step: 1, "data-focus": "range-" + one.name, disabled: span <= 0, "aria-describedby": id + "d" });
  const exact = element("input", { type: "number", step: "any", "aria-label": `${one.label}: ${texts.exact}`, "data-focus": "exact-" + one.name, "aria-invalid": one.error ? "true" : null,
    "aria-describedby": one.error ? id + "e" : null });
  const put = (value) => {
    range.value = span > 0 ? Math.round(STEPS * (value - one.min) / span) : 0;
    range.setAttribute("aria-valuetext", number(value));
  };
  put(one.value);
  exact.value = plain(one.typed ?? one.value);
  let timer;
  range.addEventListener("input", () => {
    const value = valueAt(Number(range.value));
    exact.value = plain(value);
    range.setAttribute("aria-valuetext", number(value));
    clearTimeout(timer);
    timer = setTimeout(() => send("move", { name: one.name, value }, true), REST);
  });
  exact.addEventListener("change", () => { if (exact.value !== "") send("move", { name: one.name, value: Number(exact.value) }, true); });
  return element("div", { class: "v-range" }, range, exact);
}

function choice(one, send, id) {
  return element("select", { id, "data-focus": "choice-" + one.name, onchange: (event) => send("move", { name: one.name, value: event.target.value }, true) },
    one.options.map(([value, label]) => element("option", { value, selected: value === one.value }, label)));
}

function row(one, texts, send, at) {
  const id = `s${at}-${Math.random().toString(36).slice(2)}`;
  return element("li", { class: one.moved ? "moved" : null },
    element("label", { for: id }, one.label, one.moved ? element("span", { class: "v-badge" }, texts.moved) : null),
    one.options ? choice(one, send, id) : slider(one, texts, send, id),
    element("div", { class: "v-slidernote" }, element("small", { id: id + "d" }, one.detail),
      one.moved ? element("button", { type: "button", class: "v-link", "data-focus": "back-" + one.name, "aria-label": `${texts.back}: ${one.label}`, onclick: () => send("back", { name: one.name }) }, texts.back) : null),
    one.error ? element("p", { id: id + "e", class: "v-error", role: "alert" }, one.error) : null);
}

export function paint(context, content) {
  const { root, send } = context;
  if (content.hidden) return;
  const texts = content.texts ?? {};
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  // A handle that is being dragged stays: only the answer is new.
  const held = focused?.startsWith("range-") && root.querySelector("input[type=range]:active");
  const said = element("div", { class: `v-answer ${content.answer?.tone ?? ""}`, role: "status" }, element("strong", {}, content.answer?.text ?? ""),
    content.answer?.detail ? element("p", {}, content.answer.detail) : null);
  if (held) {
    root.querySelector(".v-answer")?.replaceChildren(...said.childNodes);
    const again = () => paint(context, context.model.get("content"));
    held.addEventListener("pointerup", () => setTimeout(again, 2 * REST), { once: true });
    return;
  }
  const list = element("ul", { class: "v-sliders" }, (content.fields ?? []).map((one, at) => row(one, texts, send, at)));
  const tools = content.filters?.length ? element("div", { class: "v-tools" }, filters(content.filters, send)) : null;
  const actions = card(root, { ...content, actions: [] }, said, list, tools);
  actions?.append(...buttons([{ event: "reset", label: texts.reset, disabled: !content.canReset }], send));
  if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
