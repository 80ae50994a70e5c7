// What is missing, by series and time: {title, note, spans: [..], series: [..], share: [[0..1 or null]], label, full, none}.
import { card, element } from "../dom.mjs";
import { date, percent } from "../format.mjs";

export function paint({ root }, content) {
  if (content.hidden || !content.spans) return;
  const spans = content.spans, wide = spans.length;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = 14, left = 0;
  svg.setAttribute("viewBox", `0 0 ${wide} ${content.series.length * line}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "v-gapmap");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", content.label ?? content.title);
  svg.style.height = `${content.series.length * line}px`;
  content.series.forEach((name, row) => {
    content.share[row].forEach((share, at) => {
      const box = document.createElementNS(svg.namespaceURI, "rect");
      box.setAttribute("x", left + at);
      box.setAttribute("y", row * line + 1);
      box.setAttribute("width", 1.02);
      box.setAttribute("height", line - 2);
      box.setAttribute("class", share === null ? "none" : share > 0 ? "lost" : "full");
      if (share > 0) box.style.opacity = String(0.35 + 0.65 * share);
      const title = document.createElementNS(svg.namespaceURI, "title");
      title.textContent = `${name}, ${date(spans[at])}: ${share === null ? content.none : share > 0 ? percent(share, 0) : content.full}`;
      box.append(title);
      svg.append(box);
    });
  });
  const names = element("ol", { class: "v-gapnames" }, content.series.map((name) => element("li", { title: name, style: `height:${line}px` }, name)));
  card(root, content, element("div", { class: "v-gaps" }, names, element("div", {}, svg,
    element("div", { class: "v-gapaxis" }, element("span", {}, date(spans[0])), element("span", {}, date(spans[wide - 1]))))));
}
