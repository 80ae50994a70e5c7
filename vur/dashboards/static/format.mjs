// Numbers and dates in the visitor's language. Dates are the data's own wall clock: they are never moved to another zone.
const cache = new Map();
function maker(kind, language, options) {
  const key = kind.name + language + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new kind(language, options));
  return cache.get(key);
}

// A panel may speak another language than the document around it, such as JupyterLab's: `speaking` does its work in it.
let spoken = null;
export const languageNow = () => spoken || document.documentElement.lang || "en";
export function speaking(language, work) {
  const before = spoken;
  spoken = language ?? before;
  try { return work(); } finally { spoken = before; }
}

// One minus sign everywhere, as in the sentences of the service.
const signed = (text) => text.replaceAll("-", "−");

export function digitsFor(value) {
  const size = Math.abs(value);
  return size >= 1000 || Number.isInteger(value) ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
}

export function number(value, digits) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const shown = digits ?? digitsFor(value);
  return signed(maker(Intl.NumberFormat, languageNow(), { maximumFractionDigits: shown, minimumFractionDigits: digits ?? (Math.abs(value) >= 100 ? shown : 0) }).format(value));
}

// `digits` are the most after the decimal mark of the unit that is used.
export function short(value, digits = 1) {
  return value === null || value === undefined ? "–"
    : signed(maker(Intl.NumberFormat, languageNow(), { notation: "compact", maximumFractionDigits: digits }).format(value));
}

export function percent(value, digits = 1) {
  return value === null || value === undefined ? "–"
    : signed(maker(Intl.NumberFormat, languageNow(), { style: "percent", maximumFractionDigits: digits }).format(value));
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${number(value, at ? 1 : 0)} ${units[at]}`;
}

// `value` is an ISO text or milliseconds; one without a zone is shown as it stands. `zoned` moves an instant to here.
export function date(value, { time = "auto", zoned = false, seconds = false } = {}) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "string" && !/^\d{4}-\d{2}-\d{2}/.test(value)) return value;
  const text = typeof value === "string" && !/(Z|[+-]\d{2}:?\d{2})$/.test(value) ? value.replace(" ", "T") + (value.length <= 10 ? "T00:00Z" : "Z") : value;
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(value);
  const withTime = time === "auto" ? at.getTime() % 86_400_000 !== 0 : time;
  const options = { year: "numeric", month: "short", day: "2-digit", ...(withTime ? { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) } : {}) };
  if (languageNow().startsWith("pt")) options.month = "2-digit";
  else options.day = "numeric";
  // English as in the sentences of the service: 5 Sep 2024.
  const dates = languageNow() === "en" ? "en-GB" : languageNow();
  return maker(Intl.DateTimeFormat, dates, zoned ? options : { ...options, timeZone: "UTC" }).format(at).replace("Sept ", "Sep ");
}

export function ago(value) {
  if (!value) return "–";
  const seconds = (new Date(value).getTime() - Date.now()) / 1000;
  const steps = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];
  let amount = seconds;
  for (const [unit, size] of steps) {
    if (Math.abs(amount) < size) return maker(Intl.RelativeTimeFormat, languageNow(), { numeric: "auto" }).format(Math.round(amount), unit);
    amount /= size;
  }
  return "";
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole === 0) return "< 1 s";
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

// A value of somebody's data: nothing of it is rounded away.
export function exact(value) {
  return typeof value !== "number" ? FORMATS.text(value)
    : signed(maker(Intl.NumberFormat, languageNow(), { maximumSignificantDigits: 15 }).format(value));
}

const WORDS = { pt: ["não", "sim"], en: ["no", "yes"] };
const words = (value) => (WORDS[languageNow().slice(0, 2)] ?? WORDS.en)[Number(value)];

export const FORMATS = {
  text: (value) => typeof value === "boolean" ? words(value) : value ?? "–",
  exact: (value) => exact(value),
  number: (value, column) => number(value, column?.digits),
  short: (value) => short(value),
  percent: (value, column) => percent(value, column?.digits),
  date: (value, column) => date(value, { time: column?.time ?? "auto" }),
  moment: (value, column) => date(value, { time: true, zoned: true, seconds: column?.seconds ?? false }),
  ago: (value) => ago(value),
  bytes: (value) => bytes(value),
  duration: (value) => duration(value),
};

export function format(value, type, column) {
  return (FORMATS[type] ?? FORMATS.text)(value, column);
}
