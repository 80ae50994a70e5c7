(function () {
  "use strict";
  var root = document.documentElement;
  var read = function (id) { return JSON.parse(document.getElementById(id).textContent); };
  var figures = read("figures"), settings = read("settings");
  var darkQuery = window.matchMedia("(prefers-color-scheme: dark)");
  var printing = false;
  root.classList.add("js");

  function recolour(value, colours) {
    if (typeof value === "string") return Object.prototype.hasOwnProperty.call(colours, value) ? colours[value] : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value.slice() : value.map(function (v) { return recolour(v, colours); });
    if (value && typeof value === "object") {
      var out = {};
      Object.keys(value).forEach(function (key) { out[key] = recolour(value[key], colours); });
      return out;
    }
    return value;
  }
  function palette() {
    var colours = {};
    settings.theme.forEach(function (pair) { colours[pair[0]] = darkQuery.matches && !printing ? pair[1] : pair[0]; });
    return colours;
  }
  function narrow(layout, width) {
    if (width >= 420) return layout;
    layout.font.size = 12;
    Object.keys(layout).forEach(function (key) {
      if (/^[xy]axis/.test(key) && layout[key].ticktext) {
        layout[key].ticktext = layout[key].ticktext.map(function (t) { return t.length > 22 ? t.slice(0, 21) + "…" : t; });
        layout[key].tickfont.size = 11.5;
      }
    });
    return layout;
  }

  var locale = settings.locale;
  Plotly.register({ moduleType: "locale", name: "vur",
    dictionary: { "Reset axes": locale.reset, "Autoscale": locale.reset, "Zoom": locale.zoom, "Pan": locale.pan,
                  "Download plot as a PNG": locale.image, "Download plot as a png": locale.image },
    format: { days: locale.days, shortDays: locale.shortDays, months: locale.months, shortMonths: locale.shortMonths,
              date: locale.date, decimal: locale.decimal, thousands: locale.thousands } });
  var config = { responsive: true, displaylogo: false, locale: "vur", scrollZoom: false,
                 modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "pan2d"], showSendToCloud: false };

  var view = "recent", chosen = 0;
  function closer(figure) {
    var meta = figure.layout.meta, drawn = figure.data.slice(chosen * meta.traces, (chosen + 1) * meta.traces);
    var past = drawn[meta.traces - 3], ahead = drawn[meta.traces - 1], first = Math.max(past.x.length - meta.recent, 0);
    var end = ahead.x[ahead.x.length - 1], start = past.x.length ? past.x[first] : ahead.x[0], low = Infinity, high = -Infinity;
    if (view !== "recent" || first === 0) return;
    drawn.forEach(function (trace) {
      trace.y.forEach(function (y, i) { if (y !== null && trace.x[i] >= start) { low = Math.min(low, y); high = Math.max(high, y); } });
    });
    if (!isFinite(low)) return;
    var pad = (high - low || Math.abs(high) || 1) * 0.07;
    figure.layout.xaxis.range = [start, end];
    figure.layout.yaxis.range = [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
  }

  function build(id) {
    var box = document.getElementById(id);
    if (!box) return Promise.resolve();
    var figure = recolour(figures[id], palette());
    if (id === "plot-forecast") closer(figure);
    narrow(figure.layout, box.clientWidth);
    delete figure.layout.meta;
    return Plotly.react(box, figure.data, figure.layout, config);
  }
  var order = Object.keys(figures);
  function buildAll() { return order.reduce(function (chain, id) { return chain.then(function () { return build(id); }); }, Promise.resolve()); }

  var picker = document.getElementById("series");
  function show(position) {
    var meta = figures["plot-forecast"].layout.meta;
    var title = document.getElementById("plot-forecast-title");
    if (title) title.textContent = meta.series[position];
    chosen = position;
    figures["plot-forecast"].data.forEach(function (trace, i) { trace.visible = Math.floor(i / meta.traces) === position; });
    Plotly.purge("plot-forecast");
    return build("plot-forecast");
  }
  if (picker) {
    picker.addEventListener("change", function () { show(Number(picker.value)); });
    document.querySelectorAll("tr.pick").forEach(function (row, i) {
      row.addEventListener("click", function () {
        picker.value = String(i);
        show(i);
        document.getElementById("forecast").scrollIntoView();
      });
    });
  }
  document.querySelectorAll("input[name=view]").forEach(function (input) {
    input.addEventListener("change", function () { view = input.value; show(chosen); });
  });

  document.querySelectorAll(".code button").forEach(function (button) {
    button.addEventListener("click", function () {
      var code = button.parentElement.querySelector("pre"), range = document.createRange(), selection = window.getSelection();
      var done = function () { var old = button.textContent; button.textContent = button.dataset.done; setTimeout(function () { button.textContent = old; }, 1500); };
      range.selectNodeContents(code); selection.removeAllRanges(); selection.addRange(range);
      if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(code.textContent).then(done, function () {});
      else if (document.execCommand("copy")) done();
    });
  });

  var links = {};
  document.querySelectorAll(".rail a").forEach(function (link) { links[link.getAttribute("href").slice(1)] = link; });
  if ("IntersectionObserver" in window) {
    var seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) return;
        Object.keys(links).forEach(function (id) { links[id].removeAttribute("aria-current"); });
        if (links[entry.target.id]) links[entry.target.id].setAttribute("aria-current", "true");
      });
    }, { rootMargin: "-12% 0px -76% 0px" });
    Object.keys(links).forEach(function (id) { var part = document.getElementById(id); if (part) seen.observe(part); });
  }

  darkQuery.addEventListener("change", buildAll);
  window.addEventListener("beforeprint", function () { printing = true; buildAll(); });
  window.addEventListener("afterprint", function () { printing = false; buildAll(); });
  buildAll().then(function () { root.dataset.drawn = "yes"; });
})();
