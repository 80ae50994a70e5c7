// The title of a page, and its session: hands the visitor's token to the kernel, renews it, shows notices, and says when
// the session or the page's process has ended.
import { base, buttons, element } from "../dom.mjs";

const TICK = 5_000, LATE = 6_000, PATIENCE = 60_000;

function given() {
  const found = document.getElementById("vur-session");
  try { return found ? JSON.parse(found.textContent) : null; } catch { return null; }
}

async function renewed() {
  const answer = await fetch(base() + "vur/session", { cache: "no-store" });
  if (answer.status === 401) return { ended: true };
  return answer.ok && /json/.test(answer.headers.get("content-type") ?? "") ? answer.json() : null;
}

// Voilà moves the panels out of the page's <main> into the shell of JupyterLab: that is the main part then.
function landmarks() {
  const shell = document.querySelector("body.v-page > #main"), top = document.getElementById("v-main");
  if (!shell || !top || top.contains(shell)) return;
  top.setAttribute("role", "banner");
  shell.setAttribute("role", "main");
}

export async function start(context) {
  const { root, send } = context;
  context.notices = element("div", { class: "v-notices", role: "status", "aria-live": "polite" });
  document.querySelector(".v-notices")?.remove();
  document.body.append(context.notices);
  let session = given();
  if (!session) session = await renewed().catch(() => null);
  if (session?.language) document.documentElement.lang = session.language;
  const query = Object.fromEntries(new URLSearchParams(location.search));
  context.texts = {};
  await send("start", { token: session?.token, query });
  root.dataset.started = "true";
  document.body.dataset.vurStarted = "true";
  landmarks();
  const every = Math.max(20, Math.min(600, (session?.seconds ?? 1800) / 3)) * 1000;
  const check = async () => {
    const next = await renewed().catch(() => null);
    if (next?.ended) ended(context);
    else if (next?.token) await alive(context, send("token", { token: next.token }, true));
  };
  document.addEventListener("vur-check-session", check);
  document.addEventListener("vur-lost", () => gone(context));
  context.timers = [
    setInterval(check, every),
    setInterval(async () => {
      if (document.visibilityState === "visible" && !context.ticking && !context.over) {
        context.ticking = true;
        await alive(context, send("tick", null, true));
        context.ticking = false;
      }
    }, TICK),
  ];
}

// A kernel that does not answer has ended (it was idle, or the server was restarted), or the login has.
async function alive(context, answer) {
  const lost = Symbol("lost");
  const within = (time) => Promise.race([answer, new Promise((resolve) => setTimeout(() => resolve(lost), time))]);
  if (await within(LATE) !== lost) return;
  if (!await kernelLives() || await within(PATIENCE - LATE) === lost) await gone(context);
}

// False if the server knows the kernel no more; nobody knows while the server does not answer.
async function kernelLives() {
  const config = document.getElementById("jupyter-config-data");
  if (!config) return true;
  const answer = await fetch(`${base()}api/kernels/${JSON.parse(config.textContent).kernelId}`, { cache: "no-store" }).catch(() => null);
  return answer === null || answer.ok;
}

async function gone(context) {
  if ((await renewed().catch(() => null))?.ended) ended(context);
  else over(context, context.texts.lost, context.texts.reconnect, () => location.reload());
}

function ended(context) {
  const here = location.pathname + location.search;
  over(context, context.texts.ended, context.texts.login, () => { location.href = `${base()}login?next=${encodeURIComponent(here)}`; });
}

function over(context, text, label, action) {
  if (context.over) return;
  context.over = true;
  context.timers?.forEach(clearInterval);
  const dialog = element("dialog", { class: "v-dialog", "data-over": "true" },
    element("p", {}, text ?? "Session ended"),
    element("div", { class: "v-actions" }, element("button", { class: "v-button primary", onclick: action }, label ?? "OK")));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
}

export function paint(context, content) {
  context.texts = content.texts ?? context.texts ?? {};
  if (content.language) document.documentElement.lang = content.language;
  const served = document.querySelector("#v-main .v-title");
  const children = [];
  if (!served && content.title) children.push(element("h1", { class: "v-title" }, content.title));
  if (content.subtitle) children.push(element("p", { class: "v-sub" }, content.subtitle));
  if (content.failed) {
    children.push(element("div", { class: "v-card v-failed", role: "alert" }, element("p", {}, content.failed),
      element("button", { class: "v-button primary", onclick: () => location.reload() }, content.texts?.reconnect ?? "Reload")));
    document.querySelectorAll(".v-panel.v-waiting:not(.v-is-heading)").forEach((one) => { one.hidden = true; });
  }
  context.root.replaceChildren(...children);
}

export function message(context, one) {
  if (one.ended) ended(context);
  if (one.notice) notice(context, one.notice);
  if (one.query) {
    const query = new URLSearchParams(one.query).toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : ""));
  }
  if (one.go) location.href = base() + one.go.page + (Object.keys(one.go.query).length ? "?" + new URLSearchParams(one.go.query) : "");
  if (one.open) window.open(one.open, "_blank", "noopener");
}

function notice(context, { text, kind, action }) {
  const box = element("div", { class: `v-notice ${kind}`, role: kind === "error" ? "alert" : null },
    element("span", {}, text),
    ...(action ? buttons([action], async (event, values) => { box.remove(); return context.send(event, values); }) : []),
    element("button", { class: "v-close", "aria-label": context.texts?.close ?? "Close", onclick: () => box.remove() }, "×"));
  if (kind === "success") for (const old of context.notices.querySelectorAll(".error")) old.remove(); // it was done after all
  for (const old of [...context.notices.children]) if (old.firstElementChild.textContent === text) old.remove(); // said again
  context.notices.append(box);
  while (context.notices.children.length > 4) context.notices.firstElementChild.remove();
  if (kind !== "error") setTimeout(() => box.remove(), action ? 15_000 : 8_000);
}

export function stop(context) {
  context.timers?.forEach(clearInterval);
}
