// A form: {title, fields: [{name, label, type, value, options: [[value, label]], min, max, step, help, required, disabled, rows, group}],
// submit: {event, label, kind}, live: event, fold: label under which all is folded, actions}. Options of a field with `names: "region"` are codes of countries. Types: text, password, number, integer, date, datetime, choice, choices, switch, range, note,
// textarea, email. `choices` with a `search`, a label, are searched where they are many. Event `submit.event` with the values; `live` (an event's name) is sent at every change with all values.
import { buttons, card, element, matches } from "../dom.mjs";
import { number } from "../format.mjs";

// Names of countries by their codes, in the visitor's language.
function named(value, label, names) {
  if (names !== "region" || !/^[A-Z]{2}$/.test(value)) return label;
  return new Intl.DisplayNames(document.documentElement.lang || "en", { type: "region" }).of(value) ?? label;
}

const MANY = 20; // choices, beyond which they are searched

// Of many choices those that are chosen, and the first of those that are looked for.
function searched(choices, label) {
  const found = element("div", { class: "v-many" }, element("input", { type: "search", placeholder: label, "aria-label": label, oninput: (event) => show(event.target.value) }), choices);
  function show(text) {
    let shown = 0;
    for (const one of choices.children) one.hidden = !one.firstChild.checked && (!matches(one.textContent, text) || ++shown > MANY);
  }
  show("");
  return found;
}

function field(one, changed) {
  const id = "f" + Math.random().toString(36).slice(2);
  const common = { id, name: one.name, disabled: one.disabled ?? false, required: one.required ?? null, "aria-invalid": one.error ? "true" : null,
    "aria-describedby": [one.error ? id + "e" : "", one.help ? id + "h" : ""].join(" ").trim() || null };
  let input;
  if (one.type === "choice") {
    input = element("select", common, (one.options ?? []).map(([value, label]) => element("option", { value: String(value), selected: String(value) === String(one.value ?? "") }, named(value, label, one.names))));
  } else if (one.type === "choices") {
    const chosen = new Set((one.value ?? []).map(String));
    input = element("div", { class: "v-choices", role: "group", "aria-label": one.label, "data-name": one.name }, (one.options ?? []).map(([value, label]) => element("label", {},
      element("input", { type: "checkbox", value: String(value), checked: chosen.has(String(value)), disabled: one.disabled ?? false, onchange: changed }), label)));
    if (one.search && one.options.length > MANY) input = searched(input, one.search);
  } else if (one.type === "switch") {
    input = element("input", { ...common, type: "checkbox", role: "switch", class: "v-switch", checked: one.value === true });
  } else if (one.type === "range") {
    const shown = element("output", { for: id }, number(one.value));
    const slider = element("input", { ...common, type: "range", min: one.min, max: one.max, step: one.step ?? "any" });
    slider.value = one.value;
    slider.addEventListener("input", () => { shown.textContent = number(Number(slider.value)); });
    input = element("div", { class: "v-range" }, slider, shown);
  } else if (one.type === "textarea") {
    input = element("textarea", { ...common, rows: one.rows ?? 4 });
    input.value = one.value ?? "";
  } else if (one.type === "note") {
    return element("p", { class: "v-note wide" }, one.label);
  } else {
    const type = { integer: "number", datetime: "datetime-local" }[one.type] ?? one.type ?? "text";
    input = element("input", { ...common, type, min: one.min ?? null, max: one.max ?? null, step: one.step ?? (one.type === "integer" ? 1 : type === "number" ? "any" : null), placeholder: one.placeholder ?? null, autocomplete: one.autocomplete ?? "off" });
    input.value = one.value ?? "";
  }
  if (one.type !== "choices") input.addEventListener("change", changed);
  if (one.type === "text" || one.type === undefined) input.addEventListener("input", () => {});
  return element("div", { class: `v-field ${one.type ?? "text"} ${one.wide ? "wide" : ""}` },
    one.type === "choices" ? element("span", { class: "v-legend" }, one.label) : element("label", { for: id }, one.label),
    input,
    one.help ? element("small", { id: id + "h" }, one.help) : null,
    one.error ? element("small", { id: id + "e", class: "v-error" }, one.error) : null);
}

export function values(form, fields) {
  const found = {};
  for (const one of fields) {
    if (one.type === "note") continue;
    if (one.type === "choices") {
      found[one.name] = [...form.querySelectorAll(`[data-name="${CSS.escape(one.name)}"] input:checked`)].map((box) => box.value);
      continue;
    }
    const input = form.elements.namedItem(one.name);
    if (!input) continue;
    if (one.type === "switch") found[one.name] = input.checked;
    else if (["number", "integer", "range"].includes(one.type)) found[one.name] = input.value === "" ? null : Number(input.value);
    else found[one.name] = input.value;
  }
  return found;
}

export function paint(context, content) {
  const { root, send } = context;
  const fields = content.fields ?? [];
  const within = root.contains(document.activeElement) ? { name: document.activeElement.name } : null;
  const form = element("form", { class: "v-form", novalidate: null });
  const changed = () => { if (content.live) send(content.live, values(form, fields), true); };
  let group = null, target = form;
  for (const one of fields) {
    if ((one.group ?? null) !== group) {
      group = one.group ?? null;
      target = group ? element("fieldset", {}, element("legend", {}, group)) : form;
      if (group) form.append(target);
    }
    target.append(field(one, changed));
  }
  const bar = element("div", { class: "v-actions wide" });
  if (content.submit) bar.append(element("button", { class: `v-button ${content.submit.kind ?? "primary"}`, disabled: content.submit.disabled ?? false }, content.submit.label));
  bar.append(...buttons(content.buttons, (event, given) => send(event, { ...values(form, fields), ...(given ?? {}) })));
  if (bar.children.length) form.append(bar);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = bar.querySelector("button");
    context.sent = true; // a button that waits has no focus
    if (button) button.disabled = true;
    await send(content.submit?.event ?? "submit", values(form, fields));
    if (button?.isConnected) button.disabled = content.submit?.disabled ?? false;
  });
  const folded = content.fold ? element("details", { class: "v-more", open: context.open ?? false, ontoggle: (event) => { context.open = event.target.open; } }, element("summary", {}, content.fold), form) : form;
  const actions = card(root, content, content.text ? element("p", { class: "v-note" }, content.text) : null, folded);
  actions?.append(...buttons(content.actions, (event, given) => send(event, { ...values(form, fields), ...(given ?? {}) })));
  if (within || context.sent) (form.querySelector("[aria-invalid]") ?? form.elements.namedItem(within?.name))?.focus?.();
  context.sent = false;
}
