// Theme before the first paint, and the menu of the visitor. Not a module: it must run before the page is drawn.
(function () {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => {
    try { return localStorage.getItem("vur-theme") || "auto"; } catch { return "auto"; }
  };
  const apply = () => {
    const theme = wanted() === "auto" ? (dark.matches ? "dark" : "light") : wanted();
    if (root.dataset.theme !== theme) {
      root.dataset.theme = theme;
      window.dispatchEvent(new CustomEvent("vur-theme"));
    }
  };
  apply();
  dark.addEventListener("change", apply);

  // Voilà 0.5 is JupyterLab 4.2; its own manager of widgets and that of ipywidgets were built with later ones. They work
  // together, and would say at every page that they differ.
  const warn = console.warn;
  console.warn = (...words) => {
    if (!/^(Unsatisfied|No satisfying) version.*_JUPYTERLAB\.CORE_OUTPUT/s.test(words[0])) warn.apply(console, words);
  };

  // Panels that the browser asked for before their process could answer are lost for good, with a message or without one:
  // the page is opened once more.
  const begun = Date.now(), patience = 25_000;
  const lost = () => [...document.querySelectorAll(".jp-OutputArea-output")].some((one) => one.textContent.startsWith("Error displaying widget"));
  const watch = () => {
    if (!document.body.classList.contains("v-page") || document.body.dataset.vurStarted) return;
    if (lost() || Date.now() - begun > patience) {
      const before = Number(sessionStorage.getItem("vur-again") || 0);
      if (Date.now() - before > 60_000) {
        sessionStorage.setItem("vur-again", String(Date.now()));
        location.reload();
        return;
      }
    }
    setTimeout(watch, 1000);
  };
  window.addEventListener("load", () => setTimeout(watch, 3000));

  const cookie = (name) => (document.cookie.match(new RegExp("(?:^|; )" + name + "=([^;]*)")) || [])[1];
  document.addEventListener("DOMContentLoaded", () => {
    const theme = document.querySelector("[data-vur=theme]");
    if (theme) {
      theme.value = wanted();
      theme.addEventListener("change", () => { localStorage.setItem("vur-theme", theme.value); apply(); });
    }
    const language = document.querySelector("[data-vur=language]");
    if (language) {
      language.addEventListener("change", async () => {
        const base = document.body.dataset.vurBase || "/";
        await fetch(base + "vur/api/auth/profile", {
          method: "PUT",
          headers: { "Content-Type": "application/json", "X-XSRFToken": cookie("_xsrf") || "" },
          body: JSON.stringify({ language: language.value }),
        });
        location.reload();
      });
    }
    document.addEventListener("click", (event) => {
      document.querySelectorAll("details.v-user[open]").forEach((one) => {
        if (!one.contains(event.target)) one.open = false;
      });
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") document.querySelectorAll("details.v-user[open]").forEach((one) => { one.open = false; });
    });
  });
})();
