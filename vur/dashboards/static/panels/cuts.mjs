// Lines on a chart that are moved by mouse, touch and arrow keys: [{name, label, x}]. They stop at the values `stamps` of the horizontal axis.
// Event `cut` with {name, x}. They lie over the drawing, which is a picture for screen readers.
import { element } from "../dom.mjs";
import { date, number } from "../format.mjs";

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const PATIENCE = 300;  // milliseconds after the last key

const nearest = (values, x) => values.reduce((best, value, at) => Math.abs(value - x) < Math.abs(values[best] - x) ? at : best, 0);

export function layer(context) {
  context.cutFocus = context.root.contains(document.activeElement) ? document.activeElement.dataset.cut : null;
  context.cuts = new Map();
  context.cutLayer = element("div", { class: "v-cuts" });
  return element("div", { class: "v-cut-chart" }, context.box, context.cutLayer);
}

// Draws the lines where they are now; `at` turns a stamp into a number of the axis.
export function place(context, at) {
  context.placeCuts = () => place(context, at);
  const { chart, content } = context, stamps = content.series?.[0]?.x ?? [];
  if (!context.cutLayer || !chart || chart.isDisposed() || !stamps.length) return;
  const values = stamps.map(at);
  const names = new Set((content.cuts ?? []).map((one) => one.name));
  for (const [name, cut] of context.cuts) if (!names.has(name)) { cut.handle.remove(); context.cuts.delete(name); }
  for (const one of content.cuts ?? []) {
    const cut = context.cuts.get(one.name) ?? make(context, one.name);
    if (!cut.moving) Object.assign(cut, { index: nearest(values, at(one.x)), stamp: one.x, value: at(one.x) });
    Object.assign(cut, { values, stamps, label: one.label });
    draw(context, cut);
  }
}

function make(context, name) {
  const cut = { name, index: 0, moving: false };
  const told = () => context.send("cut", { name, x: cut.stamps[cut.index] }).finally(() => {
    cut.moving = false;
    context.placeCuts?.();
  });
  const move = (index) => {
    cut.moving = true;
    cut.index = Math.max(1, Math.min(cut.values.length - 1, index));
    Object.assign(cut, { stamp: cut.stamps[cut.index], value: cut.values[cut.index] });
    draw(context, cut);
  };
  cut.text = element("span", {});
  cut.handle = element("div", { class: "v-cut", role: "slider", tabindex: "0", "data-cut": name }, cut.text);
  cut.handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    cut.handle.focus();
    cut.handle.setPointerCapture(event.pointerId);
    const begun = cut.index;
    const follow = (moved) => move(nearest(cut.values, context.chart.convertFromPixel({ xAxisIndex: 0 }, moved.clientX - context.box.getBoundingClientRect().left)));
    const end = () => {
      cut.handle.removeEventListener("pointermove", follow);
      if (cut.index === begun) cut.moving = false;
      else told();
    };
    cut.handle.addEventListener("pointermove", follow);
    cut.handle.addEventListener("lostpointercapture", end, { once: true });
  });
  cut.handle.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    move(cut.index + STEPS[event.key]);
    clearTimeout(cut.timer);
    cut.timer = setTimeout(told, PATIENCE);
  });
  context.cuts.set(name, cut);
  context.cutLayer.append(cut.handle);
  if (context.cutFocus === name) {
    context.cutFocus = null;
    cut.handle.focus({ preventScroll: true });
  }
  return cut;
}

function draw(context, cut) {
  const left = context.chart.convertToPixel({ xAxisIndex: 0 }, cut.value);
  const said = context.content.x === "value" ? number(cut.value) : date(cut.stamp);
  cut.handle.hidden = !(left >= 0 && left <= context.box.clientWidth);
  cut.handle.style.left = `${left}px`;
  cut.text.textContent = cut.label;
  cut.handle.title = `${cut.label}: ${said}`;
  for (const [name, given] of Object.entries({ label: cut.label, valuenow: cut.index, valuemin: 1, valuemax: cut.values.length - 1, valuetext: said })) cut.handle.setAttribute(`aria-${name}`, given);
}
