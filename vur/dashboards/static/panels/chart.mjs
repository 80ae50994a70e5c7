// A chart: {title, height, x: "time"|"value"|"category", label, categories, series: [{name, x: [..], y: [..], style: line|dashed|bar|dots|step|area, color, axis,
// error: [..] to each side of the values of categories}],
// bands: [{name, x, low, high, strength}], marks: [{x, label}], spans: [{from, to, label, tone}], y: {label, percent, from, log, inverse}, zoom, view: {from, to}, range: event, click: event, empty, actions,
// filters: [{name, label, value, options: [[value, label]]}], language: of the numbers, by default the page's}. A filter sends filter {name, value}.
// `view` is the part that is seen first; an action {png: file name, label} saves the chart as a picture.
// `x` are milliseconds or ISO dates of the data's own clock; with `zoned` they are instants, shown in the reader's time.
// `range` gets {from, to} when the visible range changes; `click` gets {series, x, y}.
// `cuts` are lines that the visitor moves, [{name, label, x}]; the event is cut {name, x}.
// Messages: {append: {series: name, x: [..], y: [..], keep}}.
import { buttons, card, element, filters } from "../dom.mjs";
import { date, number, percent, short, speaking } from "../format.mjs";
import { layer, place } from "./cuts.mjs";

export const height = "tall";
let library;
const echarts = () => (library ??= import("../echarts.mjs").then((module) => module.default));

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const COLOURS = ["primary", "second", "third", "fourth", "fifth", "sixth"];
export function colour(name, at = 0) {
  return style(`--v-${name ?? COLOURS[at % COLOURS.length]}`) || name || style("--v-primary");
}

export const millis = (value) => typeof value === "number" ? value
  : Date.parse(/(Z|[+-]\d{2}:?\d{2})$/.test(value) ? value : value.replace(" ", "T") + (value.length <= 10 ? "T00:00Z" : "Z"));

const LONGEST_NAME = 240, LEGEND_LINE = 22; // pixels
const MOST_LINES = 4; // of a legend, beyond which it is turned

const languageOf = (content) => content.language ?? document.documentElement.lang;

// By its name: the library measures texts outside the page, where nothing is inherited. Its quotes would end an attribute.
const fontOf = () => getComputedStyle(document.body).fontFamily.replaceAll('"', "'");

// Digits with which a handful of marks between the least and the greatest value differ, in thousands, millions, … of them.
function markDigits(content) {
  const values = [...(content.series ?? []).map((one) => one.y), ...(content.bands ?? []).flatMap((one) => [one.low, one.high])]
    .flat().filter((one) => Number.isFinite(one));
  if (!values.length) return 1;
  let low = Infinity, high = -Infinity;
  for (const one of values) { low = Math.min(low, one); high = Math.max(high, one); }
  const unit = 1000 ** Math.max(0, Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high), 1)) / 3));
  return high > low ? Math.min(Math.max(Math.ceil(-Math.log10((high - low) / 5 / unit)), 1), 6) : 1;
}

// Days of an axis are said with their month: a number alone says nothing between names of months.
const STAMPS = { year: "{primary|{yyyy}}", month: "{MMM}", day: "{d} {MMM}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}" };

// The lines that a legend of `names` takes in `width` pixels, by the width of its texts.
let pen;
function legendLines(names, width) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `12px ${fontOf()}`;
  let lines = 1, used = 0;
  for (const name of names) {
    const needed = Math.min(pen.measureText(name).width, LONGEST_NAME) + 29; // its mark, and the gaps around it
    if (used && used + needed > width) { lines += 1; used = 0; }
    used += needed;
  }
  return lines;
}

// Draws an interval of [place, low, high] as a line with ends.
const whisker = (stroke) => (_, api) => {
  const [x, low] = api.coord([api.value(0), api.value(1)]), [, high] = api.coord([api.value(0), api.value(2)]), style = { stroke, lineWidth: 1.4 };
  return { type: "group", children: [[x, low, x, high], [x - 4, low, x + 4, low], [x - 4, high, x + 4, high]].map(([x1, y1, x2, y2]) => ({ type: "line", shape: { x1, y1, x2, y2 }, style })) };
};

// Draws a band over an axis of numbers as one area, with the first of its points that is seen.
const area = (band, look) => (given, api) => {
  if (given.dataIndexInside !== 0) return null;
  const known = band.x.map((x, i) => [x, band.low[i], band.high[i]]).filter(([, low, high]) => low !== null && high !== null);
  const points = [...known.map(([x, , high]) => api.coord([x, high])), ...known.reverse().map(([x, low]) => api.coord([x, low]))];
  return { type: "polygon", shape: { points }, style: { fill: look.color, opacity: look.opacity } };
};

// The picture of `content` in `width` pixels.
export function option(content, width = 640) {
  const spoken = (work) => (...given) => speaking(content.language, () => work(...given));
  const time = (content.x ?? "time") === "time", category = content.x === "category";
  const here = (instant) => instant - new Date(instant).getTimezoneOffset() * 60_000;
  const at = (value) => time ? (content.zoned ? here(millis(value)) : millis(value)) : value;
  const pairs = (one) => category ? one.y : one.x.map((x, i) => [at(x), one.y[i]]);
  const shown = (value) => content.y?.percent ? percent(value) : number(value);
  const ink = style("--v-ink"), muted = style("--v-muted"), line = style("--v-line");
  const series = [];
  for (const band of content.bands ?? []) {
    if (!time && !category) { // the library stacks along the first axis of numbers, which is the wrong one
      const look = { color: colour(band.color ?? "primary"), opacity: band.strength ?? 0.18 };
      series.push({ name: band.name, type: "custom", silent: true, clip: true, itemStyle: look, encode: { x: 0, y: [1, 2] }, data: band.x.map((x, i) => [x, band.low[i], band.high[i]]), renderItem: area(band, look) });
      continue;
    }
    const base = { type: "line", stack: band.name + "·", stackStrategy: "all", symbol: "none", lineStyle: { opacity: 0 }, silent: true, tooltip: { show: false }, emphasis: { disabled: true } };
    series.push({ ...base, name: band.name + "·low", data: band.x.map((x, i) => [at(x), band.low[i]]) });
    series.push({ ...base, name: band.name, data: band.x.map((x, i) => [at(x), band.low[i] === null || band.high[i] === null ? null : band.high[i] - band.low[i]]),
      areaStyle: { color: colour(band.color ?? "primary"), opacity: band.strength ?? 0.18 }, itemStyle: { color: colour(band.color ?? "primary"), opacity: band.strength ?? 0.18 } });
  }
  (content.series ?? []).forEach((one, index) => {
    const color = colour(one.color, index);
    const many = (one.y?.length ?? 0) > 1 ? "none" : "circle";
    series.push({
      name: one.name, type: one.style === "bar" ? "bar" : one.style === "dots" ? "scatter" : "line",
      data: pairs(one), symbol: one.style === "dots" ? "circle" : many, symbolSize: one.style === "dots" ? 5 : 6,
      step: one.style === "step" ? "end" : false, connectNulls: false, color, itemStyle: { color }, z: 5 + index, barMaxWidth: 28,
      lineStyle: { color, width: one.style === "dashed" ? 1.6 : 2, type: one.style === "dashed" ? "dashed" : "solid" },
      areaStyle: one.style === "area" ? { color, opacity: 0.15 } : undefined, emphasis: { disabled: true },
    });
  });
  for (const one of category ? (content.series ?? []).filter((one) => one.error) : []) {
    series.push({ name: one.name + "·low", type: "custom", silent: true, z: 20, tooltip: { show: false }, data: one.y.map((y, i) => [i, y - one.error[i], y + one.error[i]]), renderItem: whisker(ink) });
  }
  if (series.length && (content.marks?.length || content.spans?.length)) {
    const host = series[series.length - 1];
    if (content.marks?.length) host.markLine = { silent: true, symbol: "none", animation: false, lineStyle: { color: muted, type: "dashed" }, label: { color: muted, formatter: (one) => one.name },
      data: content.marks.map((one) => ({ xAxis: at(one.x), name: one.label ?? "" })) };
    if (content.spans?.length) host.markArea = { silent: true, animation: false, label: { color: muted, position: "insideTop", fontSize: 11 },
      data: content.spans.map((one) => [{ xAxis: at(one.from), name: one.label ?? "", itemStyle: { color: colour(one.tone ?? "primary"), opacity: one.strength ?? 0.08 } }, { xAxis: at(one.to) }]) };
  }
  const bands = new Map((content.bands ?? []).map((band) => [band.name, new Map(band.x.map((x, i) => [at(x), [band.low[i], band.high[i]]]))]));
  const names = [...(content.series ?? []).map((one) => one.name), ...(content.bands ?? []).map((one) => one.name)];
  const digits = markDigits(content);
  const whole = !time && !category && (content.series ?? []).every((one) => one.x.every(Number.isInteger));
  const everyLabel = content.everyLabel
    ? { interval: 0, hideOverlap: false, overflow: "break", lineHeight: 14, width: Math.max(Math.floor((width - 80) / (content.categories.length || 1)) - 8, 40) }
    : { interval: "auto" };
  const lines = names.length > 1 ? legendLines(names, width - 24) : 0;
  const legend = (lines > MOST_LINES ? 1 : lines) * LEGEND_LINE;
  const labelled = (content.marks ?? []).some((one) => one.label);
  return {
    animation: false, useUTC: true, backgroundColor: "transparent", textStyle: { fontFamily: fontOf(), color: ink }, aria: { enabled: true, label: { description: content.label ?? content.title ?? "" } },
    grid: { left: 8, right: 16, top: legend + (labelled ? 28 : content.y?.label && legend ? 30 : 16), bottom: content.zoom ? 44 : 8, containLabel: true },
    legend: names.length > 1 ? { type: lines > MOST_LINES ? "scroll" : "plain", data: names, top: 0, right: 0, itemGap: 10, textStyle: { color: muted, width: LONGEST_NAME, overflow: "truncate" }, icon: "roundRect", itemWidth: 14, itemHeight: 8 } : { show: false },
    tooltip: {
      trigger: content.scatter ? "item" : "axis", confine: true, backgroundColor: style("--v-card"), borderColor: line, textStyle: { color: ink, fontSize: 12 },
      formatter: spoken((found) => {
        const list = Array.isArray(found) ? found : [found];
        const box = element("div", {});
        const x = list[0]?.axisValue ?? list[0]?.value?.[0];
        box.append(element("b", {}, category ? (content.categories?.[list[0].dataIndex] ?? list[0].name) : time ? date(x) : number(x)));
        for (const one of list) {
          if (one.seriesName.endsWith("·low")) continue;
          const band = bands.get(one.seriesName);
          const value = band ? band.get(one.value?.[0]) : category ? one.value : one.value?.[1];
          if (value === undefined || value === null) continue;
          const line = element("div", {}, `${one.seriesName}: ${band ? value.map(shown).join(" – ") : shown(value)}`);
          box.append(line);
        }
        return box;
      }),
    },
    xAxis: { type: category ? "category" : time ? "time" : "value", data: category ? content.categories : undefined, scale: true, inverse: false, minInterval: whole ? 1 : undefined, splitNumber: width < 480 ? 3 : undefined, axisLine: { lineStyle: { color: line } },
      axisTick: { show: false }, splitLine: { show: false }, axisLabel: { color: muted, hideOverlap: true, ...(width < 480 ? { fontSize: 11 } : {}), ...(time ? { formatter: STAMPS } : category ? everyLabel : { formatter: spoken((value) => short(value)) }) } },
    yAxis: { type: content.y?.log ? "log" : "value", inverse: content.y?.inverse ?? false, nameLocation: content.y?.inverse ? "start" : "end", minInterval: content.y?.inverse ? 1 : undefined, scale: content.y?.from === undefined && !(content.series ?? []).some((one) => one.style === "bar" || one.style === "area"), min: content.y?.from, name: content.y?.label ?? "", nameTextStyle: { color: muted, align: "left" },
      axisLabel: { color: muted, formatter: spoken((value) => content.y?.percent ? percent(value, 0) : short(value, digits)) }, splitLine: { lineStyle: { color: line, type: "dashed" } } },
    dataZoom: content.zoom ? [{ type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, ...view(content, at) }, { type: "slider", ...view(content, at), height: 20, bottom: 8, borderColor: line, fillerColor: style("--v-soft"), labelFormatter: spoken((value) => time ? date(value) : number(value)), textStyle: { color: muted } }] : undefined,
    series,
  };
}

const view = (content, at) => content.view ? { startValue: at(content.view.from), endValue: at(content.view.to) } : {};

// The chart as a PNG file, drawn at twice its size on the colour of its card.
async function picture(context, name) {
  const image = new Image();
  image.src = context.chart.getDataURL({ type: "svg" });
  await image.decode();
  const canvas = element("canvas", { width: context.box.clientWidth * 2, height: context.box.clientHeight * 2 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = style("--v-card");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const file = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const link = element("a", { href: URL.createObjectURL(file), download: `${name}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const actionsOf = (context, content) => buttons((content.actions ?? []).map((one) => one.png ? { ...one, event: "png", values: one.png } : one),
  (event, given) => event === "png" ? picture(context, given) : context.send(event, given));

let registered = false;
function register(library) {
  if (registered) return;
  registered = true;
  const names = (form, kind) => Array.from({ length: kind === "month" ? 12 : 7 }, (_, i) => new Intl.DateTimeFormat("pt-BR", { [kind]: form, timeZone: "UTC" }).format(new Date(Date.UTC(2023, kind === "month" ? i : 0, kind === "month" ? 1 : 1 + i))).replace(".", ""));
  library.registerLocale("PT", { time: { month: names("long", "month"), monthAbbr: names("short", "month"), dayOfWeek: names("long", "weekday"), dayOfWeekAbbr: names("short", "weekday") }, legend: { selector: { all: "Todos", inverse: "Inv" } }, toolbox: {}, series: { typeNames: {} }, aria: { general: { withTitle: "{title}", withoutTitle: "" }, series: { single: { prefix: "", withName: "{seriesName}", withoutName: "" }, multiple: { prefix: "", withName: "{seriesName}", withoutName: "", separator: { middle: ", ", end: ". " } } }, data: { allData: "", partialData: "", withName: "", withoutName: "", separator: { middle: "", end: "" } } } });
}

export async function paint(context, content) {
  const { root, send } = context;
  const turn = context.turn = (context.turn ?? 0) + 1;
  const hasData = (content.series ?? []).some((one) => one.y?.length) || (content.bands ?? []).length > 0;
  if (!hasData) {
    context.chart?.dispose();
    context.chart = null;
    const actions = card(root, content, tools(content, send), element("p", { class: "v-empty" }, content.empty ?? "–"));
    actions?.append(...buttons((content.actions ?? []).filter((one) => !one.png), send));
    return;
  }
  const kept = context.chart && !context.chart.isDisposed() && context.shape === shape(content);
  if (!kept) {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    context.chart?.dispose();
    context.box = element("div", { class: "v-chart-box", role: "img", "aria-label": content.label ?? content.title ?? "", style: `height:${content.height ?? 320}px` });
    // The wheel alone scrolls the page: the library would keep it from doing so.
    context.box.addEventListener("wheel", (event) => { if (!event.ctrlKey) event.stopPropagation(); }, { capture: true });
    const actions = card(root, { ...content, actions: content.actions ?? (content.title ? [] : null) }, content.text ? element("p", { class: "v-note" }, content.text) : null,
      tools(content, send), content.cuts ? layer(context) : context.box);
    actions?.append(...actionsOf(context, content));
    if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }
  const library = await echarts();
  if (turn !== context.turn || !context.box.isConnected) return;
  register(library);
  if (!kept) {
    context.shape = shape(content);
    context.chart = library.init(context.box, null, { renderer: "svg", locale: languageOf(content).startsWith("pt") ? "PT" : "EN" });
    context.watch?.disconnect();
    context.watch = new ResizeObserver(() => {
      if (!context.chart || context.chart.isDisposed()) return;
      context.chart.resize();
      if (context.width !== context.box.clientWidth) redraw(context);
    });
    context.watch.observe(context.box);
    if (content.cuts) context.chart.on("finished", () => place(context, (context.content.x ?? "time") === "time" ? millis : Number));
    context.chart.on("datazoom", () => {
      clearTimeout(context.timer);
      const range = context.content.range;
      if (range) context.timer = setTimeout(() => {
        const { startValue, endValue } = context.chart.getOption().dataZoom[0];
        send(range, { from: startValue, to: endValue }, true);
      }, 300);
    });
    context.chart.on("click", (one) => {
      if (context.content.click) send(context.content.click, { series: one.seriesName, x: Array.isArray(one.value) ? one.value[0] : one.name, y: Array.isArray(one.value) ? one.value[1] : one.value });
    });
    addEventListener("vur-theme", context.theme = () => context.chart && !context.chart.isDisposed() && redraw(context));
  }
  context.content = content;
  if (kept) redraw(context);
  else context.chart.setOption(option(content, context.width = context.box.clientWidth), { replaceMerge: ["series"] });
  context.box.dataset.drawn = String(turn);
}

const tools = (content, send) => content.filters?.length ? element("div", { class: "v-tools" }, filters(content.filters, send)) : null;

const shape = (content) => JSON.stringify([Boolean(content.cuts), content.title, content.note, content.text, content.height, content.zoom, content.x, content.actions, languageOf(content),
  (content.filters ?? []).map((one) => [one.name, one.options, one.search])]);

// Draws what is shown once more: for another width, another theme, other points. What is seen of a long axis stays.
function redraw(context) {
  const made = option(context.content, context.width = context.box.clientWidth);
  for (const one of made.dataZoom ?? []) { delete one.startValue; delete one.endValue; }
  context.chart.setOption(made, { replaceMerge: ["series"] });
}

export function message(context, one) {
  if (!one.append || !context.chart || context.chart.isDisposed()) return;
  const target = (context.content.series ?? []).find((series) => series.name === one.append.series);
  if (!target) return;
  target.x.push(...one.append.x);
  target.y.push(...one.append.y);
  const extra = one.append.keep ? target.x.length - one.append.keep : 0;
  if (extra > 0) { target.x.splice(0, extra); target.y.splice(0, extra); }
  redraw(context);
}

export function stop(context) {
  removeEventListener("vur-theme", context.theme);
  context.watch?.disconnect();
  context.chart?.dispose();
}
