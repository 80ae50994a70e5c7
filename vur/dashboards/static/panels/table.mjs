// A table: {title, columns: [{key, label, type, digits, sort, tone, wide, number: bool, time: bool}], rows: [{id, href?, tone?, ...cells}], sort: "-key", page, pages,
// total, search: {label, value}, filters: [{name, label, value, options: [[value, label]]}], rowActions: [{event, label, kind, confirm, when}],
// select: bool, selected: id, empty, actions}. Events: sort {key}, page {page}, search {text}, filter {name, value}, select {id}, and
// the names of the actions with {id}. A cell may be {text, tone, href, spark, title}, or a choice {options: [[value, label]], value}, which
// sends choose {id, key, value}; or {bar: [value, low, high], most, text, tone}, a bar with its interval.
import { buttons, card, element, filters, safe } from "../dom.mjs";
import { format } from "../format.mjs";
import { sparkline } from "./cards.mjs";

export const height = "tall";
const NUMBERS = new Set(["number", "exact", "short", "percent", "bytes", "duration"]), DATES = new Set(["date", "moment"]);
const shape = (column) => column.number || NUMBERS.has(column.type) ? "v-number" : DATES.has(column.type) ? "v-date" : column.wide ? "v-wide" : null;

// A share of `most` as a bar, with the line of its interval.
function bar({ bar: [value, low, high], most, text, tone }) {
  const at = (one) => `${Math.min(Math.max(100 * one / (most || 1), 0), 100)}%`;
  const fill = element("i", { class: tone ?? null }), line = element("b", {});
  fill.style.width = at(value);
  line.style.left = at(low);
  line.style.width = `calc(${at(high)} - ${at(low)})`;
  return element("div", { class: "v-rankbar" }, element("span", { class: "v-bar", "aria-hidden": "true" }, fill, line), element("span", {}, text));
}

// The title of a text that may be cut.
const long = (text) => String(text).length > 30 ? text : null;

function cell(value, column, row, send) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    if (value.options) {
      return element("select", { "aria-label": `${column.label}: ${row.id}`, "data-focus": `choose-${column.key}-${row.id}`, name: `${column.key}:${row.id}`,
        onchange: (event) => send("choose", { id: row.id, key: column.key, value: event.target.value }) },
      value.options.map(([one, label]) => element("option", { value: one, selected: one === value.value }, label)));
    }
    if (value.bar) return bar(value);
    if (value.spark) return sparkline(value.spark, column.label) ?? "–";
    const shown = format(value.value ?? value.text, value.type ?? column.type, column);
    if (value.href) return element("a", { href: safe(value.href), title: value.title ?? null, download: value.download ?? null }, shown);
    return element("span", { class: value.tone ? `v-badge ${value.tone}` : null, title: value.title ?? long(shown) }, shown);
  }
  return format(value, column.type, column);
}

export function paint(context, content) {
  const { root, send } = context;
  const columns = content.columns ?? [], rows = content.rows ?? [];
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const typed = focused === "search" ? document.activeElement.value : null;
  const tools = [];
  if (content.search) {
    const field = element("input", { type: "search", placeholder: content.search.label, "aria-label": content.search.label, value: typed ?? content.search.value ?? "", "data-focus": "search" });
    let timer;
    field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => send("search", { text: field.value }, true), 250); });
    tools.push(field);
  }
  tools.push(...filters(content.filters, send));
  const head = element("tr", {}, columns.map((column) => {
    const sorted = content.sort?.replace(/^-/, "") === (column.sort === true ? column.key : column.sort);
    const descending = content.sort?.startsWith("-");
    return element("th", { scope: "col", class: shape(column), title: long(column.label), "aria-sort": sorted ? (descending ? "descending" : "ascending") : null },
      column.sort ? element("button", { type: "button", "data-focus": "sort-" + column.key, onclick: () => send("sort", { key: (sorted && !descending ? "-" : "") + (column.sort === true ? column.key : column.sort) }) },
        column.label, element("i", { "aria-hidden": "true" }, sorted ? (descending ? " ▾" : " ▴") : " ▵")) : column.label);
  }), content.rowActions ? element("th", {}, element("span", { class: "v-hidden" }, content.actionsLabel ?? "Actions")) : null);
  const body = rows.map((row) => {
    const made = element("tr", { "data-id": row.id ?? null, class: row.tone ?? null, "aria-selected": content.select ? String(row.id === content.selected) : null });
    columns.forEach((column, at) => {
      let inside = cell(row[column.key], column, row, send);
      if (at === 0 && content.select) inside = element("button", { type: "button", class: "v-pick", "data-focus": "pick-" + row.id, onclick: () => send("select", { id: row.id }) }, inside);
      else if (at === 0 && row.href) inside = element("a", { href: safe(row.href) }, inside);
      made.append(element(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: shape(column), "data-label": column.label }, inside));
    });
    if (content.rowActions) {
      const usable = content.rowActions.filter((one) => !one.when || row[one.when]);
      made.append(element("td", { class: "v-rowactions" }, buttons(usable.map((one) => ({ kind: "small", ...one, values: { id: row.id } })), send)));
    }
    return made;
  });
  const table = rows.length
    ? element("div", { class: "v-scroll", tabindex: "0", role: "region", "aria-label": content.title ?? content.label ?? "" },
        element("table", {}, content.caption ? element("caption", {}, content.caption) : null, element("thead", {}, head), element("tbody", {}, body)))
    : element("p", { class: "v-empty" }, content.empty ?? "–");
  const pager = content.pages > 1
    ? element("nav", { class: "v-pager", "aria-label": content.pagesLabel ?? [content.title, content.page, "/", content.pages].join(" ") },
        element("button", { type: "button", class: "v-button small", disabled: content.page <= 1, "data-focus": "before", "aria-label": "←", onclick: () => send("page", { page: content.page - 1 }) }, "←"),
        element("span", {}, `${format(content.page, "number")} / ${format(content.pages, "number")}`),
        element("button", { type: "button", class: "v-button small", disabled: content.page >= content.pages, "data-focus": "after", "aria-label": "→", onclick: () => send("page", { page: content.page + 1 }) }, "→"))
    : null;
  const actions = card(root, { ...content, actions: content.actions ?? (content.title ? [] : null) }, tools.length ? element("div", { class: "v-tools" }, tools) : null, table, pager);
  actions?.append(...buttons(content.actions, send));
  if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
