// Figures in a row: {items: [{label, value, type, digits, unit, delta, trend: up|down|flat, good, note, spark: [..], href}]}.
import { element, safe } from "../dom.mjs";
import { format } from "../format.mjs";

export function sparkline(values, label) {
  const known = values.filter((one) => one !== null);
  if (known.length < 2) return null;
  const low = Math.min(...known), high = Math.max(...known), span = high - low || 1;
  const points = values.map((one, at) => one === null ? null : [(at / (values.length - 1)) * 100, 26 - ((one - low) / span) * 22]);
  const path = points.map((point, at) => point ? `${at && points[at - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "").join("");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "v-spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label ?? "");
  const line = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export function paint({ root }, content) {
  root.replaceChildren(...(content.items ?? []).map((one) => {
    const arrow = { up: "▲", down: "▼", flat: "●" }[one.trend];
    const tone = one.good === true ? "good" : one.good === false ? "bad" : "flat";
    return element(one.href ? "a" : "div", { class: "v-card v-figure", href: one.href ? safe(one.href) : null, "data-name": one.name ?? null },
      element("span", { class: "v-label" }, one.label),
      element("strong", {}, format(one.value, one.type ?? "number", one), one.unit ? element("small", {}, " " + one.unit) : null),
      one.delta ? element("span", { class: `v-delta ${tone}` }, arrow ? element("i", { "aria-hidden": "true" }, arrow + " ") : null, one.delta) : null,
      one.note ? element("span", { class: "v-note" }, one.note) : null,
      one.spark ? sparkline(one.spark, one.label) : null);
  }));
}
