// A network built layer by layer: {title, note, document, layers: [{type, label, fields}], sections: {compilation, training, early_stopping}, error, texts}.
// Event `change` with {document}.
import { card, element } from "../dom.mjs";

export const height = "tall";

function input(rule, value, changed, texts) {
  const label = rule.label;
  if (rule.type === "bool") {
    const box = element("input", { type: "checkbox", role: "switch", class: "v-switch", checked: value ?? rule.default ?? false, "aria-label": label });
    box.addEventListener("change", () => changed(box.checked));
    return box;
  }
  if (rule.type === "choice") {
    const list = element("select", { "aria-label": label }, (rule.choices ?? []).map((one) => element("option", { value: one.value, selected: one.value === (value ?? rule.default) }, one.label)));
    list.addEventListener("change", () => changed(list.value));
    return list;
  }
  const field = element("input", { type: "number", min: rule.min ?? null, max: rule.max ?? null, step: rule.type === "int" ? 1 : "any", "aria-label": label, placeholder: rule.default ?? "" });
  field.value = value ?? "";
  field.addEventListener("change", () => changed(field.value === "" ? null : Number(field.value)));
  return field;
}

function fields(rules, values, changed, texts) {
  return rules.filter((rule) => rule.type !== "layer").map((rule) => element("label", { class: `v-field ${rule.type === "bool" ? "switch" : ""}` },
    element("span", {}, rule.label), input(rule, values[rule.name], (value) => {
      const next = { ...values };
      if (value === null || value === rule.default) delete next[rule.name]; else next[rule.name] = value;
      if (rule.required && value !== null) next[rule.name] = value;
      changed(next);
    }, texts)));
}

const usual = (kind) => Object.fromEntries(kind.fields.filter((rule) => rule.required && rule.type !== "layer").map((rule) => [rule.name, rule.type === "int" ? Math.min(16, rule.max ?? 16) : 0.2]));

export function paint(context, content) {
  const { root, send } = context;
  if (content.hidden) return;
  const { texts, layers: kinds } = content;
  const document_ = structuredClone(content.document ?? {});
  const layers = document_.architecture?.layers ?? [];
  const tell = (next) => send("change", { document: next }, true);
  const withLayers = (next) => tell({ ...document_, architecture: { ...(document_.architecture ?? {}), layers: next } });
  const choices = (chosen) => kinds.map((kind) => element("option", { value: kind.type, selected: kind.type === chosen }, kind.label));
  const made = (type) => {
    const kind = kinds.find((one) => one.type === type);
    return { type, ...usual(kind), ...(type === "bidirectional" ? { layer: { type: "lstm", units: 16 } } : {}) };
  };
  const move = (at, to) => { const next = [...layers]; next.splice(to, 0, next.splice(at, 1)[0]); withLayers(next); };
  const rows = layers.map((layer, at) => {
    const kind = kinds.find((one) => one.type === layer.type) ?? { fields: [] };
    const pick = element("select", { "aria-label": `${texts.layer} ${at + 1}` }, choices(layer.type));
    pick.addEventListener("change", () => withLayers(layers.map((one, place) => place === at ? made(pick.value) : one)));
    const inner = layer.layer ? fields(kinds.find((one) => one.type === layer.layer.type)?.fields ?? [], layer.layer, (next) => withLayers(layers.map((one, place) => place === at ? { ...layer, layer: next } : one)), texts) : [];
    return element("li", { class: "v-layer", "data-layer": layer.type }, element("b", {}, String(at + 1)), element("div", { class: "v-form" },
      element("div", { class: "v-field" }, element("span", {}, texts.layer), pick),
      ...fields(kind.fields, layer, (next) => withLayers(layers.map((one, place) => place === at ? next : one)), texts), ...inner),
    element("div", { class: "v-actions" },
      element("button", { type: "button", class: "v-button small", disabled: at === 0, "aria-label": `${texts.up} ${at + 1}`, onclick: () => move(at, at - 1) }, "↑"),
      element("button", { type: "button", class: "v-button small", disabled: at === layers.length - 1, "aria-label": `${texts.down} ${at + 1}`, onclick: () => move(at, at + 1) }, "↓"),
      element("button", { type: "button", class: "v-button small danger", disabled: layers.length === 1, "aria-label": `${texts.remove} ${at + 1}`, onclick: () => withLayers(layers.filter((_, place) => place !== at)) }, "×")));
  });
  const add = element("button", { type: "button", class: "v-button small", onclick: () => withLayers([...layers.slice(0, -1), made("dense"), ...layers.slice(-1)]) }, texts.add);
  const training = document_.training ?? {};
  const section = (name, values, changed) => element("fieldset", {}, element("legend", {}, texts[name]), ...fields(content.sections[name] ?? [], values ?? {}, changed, texts));
  card(root, content, content.error ? element("p", { class: "v-error", role: "alert" }, content.error) : null,
    element("ol", { class: "v-layers" }, rows), element("div", { class: "v-actions" }, add),
    element("div", { class: "v-form" },
      section("compilation", document_.compilation, (next) => tell({ ...document_, compilation: { ...(document_.compilation ?? {}), ...next } })),
      section("training", training, (next) => tell({ ...document_, training: { ...training, ...next } })),
      section("early_stopping", training.early_stopping, (next) => tell({ ...document_, training: { ...training, early_stopping: { ...(training.early_stopping ?? {}), ...next } } }))));
}
