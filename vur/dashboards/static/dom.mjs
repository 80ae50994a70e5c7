// Elements without HTML strings: text from data never becomes markup.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "selected" || key === "hidden") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function card(root, content, ...children) {
  const head = content.title || content.actions
    ? element("header", { class: "v-head" },
        element("div", {},
          content.title ? element("h2", {}, content.title) : null,
          content.note ? element("p", { class: "v-note" }, content.note) : null),
        element("div", { class: "v-actions" }))
    : null;
  root.classList.add("v-card");
  for (const one of [root, root.parentElement]) {
    if (!one) continue;
    if (content.width) one.dataset.width = content.width;
    else delete one.dataset.width;
  }
  root.replaceChildren(...[head, ...children.flat()].filter(Boolean));
  return head?.lastElementChild;
}

// Buttons of a panel: {event, label, kind, values, confirm, href, download, disabled}.
export function buttons(list, send) {
  return (list ?? []).map((one) => {
    if (one.href) {
      return element("a", { class: `v-button ${one.kind ?? ""}`, href: safe(one.href), download: one.download ?? null,
        target: one.target ?? null, rel: one.target ? "noopener" : null }, one.label);
    }
    const made = element("button", { type: "button", class: `v-button ${one.kind ?? ""}`, disabled: one.disabled ?? false,
      "data-event": one.event, title: one.help ?? null }, one.label);
    made.addEventListener("click", async () => {
      if (one.confirm && !(await ask(one.confirm, one.label, one.cancel))) return;
      made.disabled = true;
      await send(one.event, one.values);
      if (made.isConnected) made.disabled = one.disabled ?? false;
    });
    return made;
  });
}

// Choices above a panel: [{name, label, value, options: [[value, label]], search}]; the event is filter {name, value}.
// With `search`, a label, a field beside the choice narrows its options; Enter takes the first of them.
export function filters(list, send) {
  return (list ?? []).flatMap((one) => {
    const shown = (text) => one.options.filter(([value, label]) => matches(label, text))
      .map(([value, label]) => element("option", { value, selected: value === one.value }, label));
    const choose = (value) => send("filter", { name: one.name, value });
    const select = element("select", { "aria-label": one.label, "data-focus": "filter-" + one.name, onchange: (event) => choose(event.target.value) }, shown(""));
    if (one.search) {
      // Where what is chosen is not among the found ones, a first empty option lets each of them be chosen.
      const narrow = (text) => {
        const found = shown(text);
        select.replaceChildren(...(found.some((option) => option.value === one.value) ? [] : [element("option", { value: "", disabled: true, selected: true }, `${found.length}`)]), ...found);
      };
      const take = (event) => {
        const first = [...select.options].find((option) => option.value && matches(option.label, event.target.value));
        if (event.key === "Enter" && first) { event.preventDefault(); choose(first.value); }
      };
      const field = element("input", { type: "search", placeholder: one.search, "aria-label": one.search, "data-focus": "find-" + one.name,
        oninput: (event) => narrow(event.target.value), onkeydown: take });
      return [element("label", { class: "v-filter" }, element("span", {}, one.search), field), element("label", { class: "v-filter" }, element("span", {}, one.label), select)];
    }
    return [element("label", { class: "v-filter" }, element("span", {}, one.label), select)];
  });
}

// Whether a name has all words of `text`, in capitals or not, with accents or without.
export function matches(name, text) {
  const plain = (words) => String(words).normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  return plain(text).split(/\s+/).every((word) => plain(name).includes(word));
}

// Only addresses of this site.
export function safe(address) {
  const parsed = new URL(address, location.href);
  return parsed.origin === location.origin || parsed.protocol === "blob:" ? parsed.href : "#";
}

// A question in a dialog; resolves to whether it was answered with yes.
export function ask(question, yes, no) {
  return new Promise((resolve) => {
    const portuguese = document.documentElement.lang.startsWith("pt");
    const dialog = element("dialog", { class: "v-dialog" },
      element("p", {}, question),
      element("form", { method: "dialog", class: "v-actions" },
        element("button", { class: "v-button", value: "no" }, no ?? (portuguese ? "Cancelar" : "Cancel")),
        element("button", { class: "v-button danger", value: "yes" }, yes)));
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes"); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function xsrf() {
  return (document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) ?? [])[1] ?? "";
}

export function base() {
  return document.body.dataset.vurBase ?? jupyter().baseUrl ?? "/";
}

function jupyter() {
  const found = document.getElementById("jupyter-config-data");
  try { return found ? JSON.parse(found.textContent) : {}; } catch { return {}; }
}
