// The frame of the page: runs and panels in its head, one panel below, chosen by the address #/RUN/PANEL?key=value.
// Panels are classic scripts that call shotsmith.panel(). The same files work from a server and, in the static form
// (<html data-form="static">), opened from disk: then data comes from scripts in the folder data/.
"use strict";

const shotsmith = (() => {
  const live = document.documentElement.dataset.form !== "static";
  const panels = new Map();
  const tables = {};
  const waiting = new Map();
  let runs = [];
  let shown = null; // {route, handle}: the panel on the screen

  // Text of others.

  // Characters that a browser obeys instead of showing them; the same as in shotsmith/visible.py.
  const obeyed =
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  /** The text with every such character as its code, such as \x1b or \u202e. */
  function visible(text) {
    return String(text).replace(obeyed, (found) => {
      const code = found.charCodeAt(0).toString(16);
      return code.length < 3 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
    });
  }

  // Building the document. Nothing here parses markup.

  function build(made, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
      else if (name === "data") for (const [key, one] of Object.entries(value)) made.dataset[key] = one;
      else made.setAttribute(name, value === true ? "" : visible(value));
    }
    made.append(...flat(children));
    return made;
  }

  function flat(children) {
    return children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (child instanceof Node ? child : visible(child)));
  }

  /** An element. `attributes`: names to values; `onclick` and the like to functions, `style` and `data` to objects. */
  function element(tag, attributes, ...children) {
    return build(document.createElement(tag), attributes, children);
  }

  /** The same of SVG. */
  function svg(tag, attributes, ...children) {
    return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  }

  /** Text of others in its own direction, and clamped where it is long, with a button that shows all of it. */
  function prose(text, limit = 400) {
    const whole = String(text);
    if (whole.length <= limit) return element("bdi", { class: "prose", dir: "auto" }, whole);
    const part = element("bdi", { class: "prose", dir: "auto" }, whole.slice(0, limit) + "…");
    const button = element("button", { type: "button", class: "more", "aria-expanded": "false" });
    const tell = (open) => {
      part.textContent = visible(open ? whole : whole.slice(0, limit) + "…");
      button.textContent = api.text(open ? "shell.less" : "shell.all", { count: number(whole.length, 0) });
      button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      tell(button.getAttribute("aria-expanded") !== "true");
    });
    tell(false);
    return element("span", null, part, " ", button);
  }

  /** A number in the language's digits groups; a dash where there is none. */
  function number(value, digits = 1) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const rounded = Number(value.toFixed(Math.min(digits, 20))) === 0 ? 0 : value; // no -0
    return rounded.toLocaleString(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  // Languages and colours.

  function kept(key) {
    try {
      return localStorage.getItem(`shotsmith.${key}`);
    } catch {
      return null; // no storage: pages opened from disk may have none
    }
  }

  function keep(key, value) {
    try {
      if (value === null) localStorage.removeItem(`shotsmith.${key}`);
      else localStorage.setItem(`shotsmith.${key}`, value);
    } catch {
      // the choice holds until the page is closed
    }
  }

  let chosen = kept("language");

  function language() {
    if (chosen in tables) return chosen;
    return (navigator.languages ?? []).some((tag) => tag.toLowerCase().startsWith("zh")) ? "zh" : "en";
  }

  function setLanguage(code) {
    chosen = code;
    keep("language", code);
    draw(true);
  }

  function setTheme(theme) {
    keep("theme", theme);
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  /** The text of a key in the language chosen; {name} in it is replaced by values.name. */
  function text(key, values = {}) {
    const template = tables[language()]?.[key] ?? tables.en?.[key] ?? key;
    return template.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (whole, name, one, many) => {
      if (!(name in values)) return whole;
      if (one === undefined) return visible(values[name]);
      return String(values[name]) === "1" ? one : many;
    });
  }

  // Data.

  /** The file of the static form that holds what a path of the server answers, without its ending. */
  function fileOf(path) {
    const bytes = new TextEncoder().encode(path);
    return Array.from(bytes, (byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9.-]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, "0")}`;
    }).join("");
  }

  /** The JSON of a path such as "runs/NAME/live" (below /api/). `body`, where given, is sent as a POST. */
  async function get(path, body) {
    if (!live) return fromScript(path);
    const request = { headers: { Accept: "application/json" }, cache: "no-cache" };
    if (body !== undefined) {
      Object.assign(request, { method: "POST", body: JSON.stringify(body) });
      request.headers["Content-Type"] = "application/json";
    }
    const answer = await fetch(`api/${path}`, request);
    const told = await answer.json().catch(() => null);
    if (answer.ok) return told;
    const error = new Error(told?.error?.message ?? `${answer.status}`);
    error.status = answer.status;
    throw error;
  }

  function fromScript(path) {
    return new Promise((resolve, reject) => {
      const script = element("script", { src: `data/${fileOf(path)}.js` });
      waiting.set(path, resolve);
      script.addEventListener("error", () => reject(new Error(text("shell.not_kept"))));
      script.addEventListener("load", () => script.remove());
      document.head.append(script);
    });
  }

  // Addresses.

  function route() {
    const [place, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [run = "", panel = ""] = place.split("/").map(decoded);
    return { run, panel, params: Object.fromEntries(new URLSearchParams(query)) };
  }

  function decoded(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }

  function address(run, panel, params = {}) {
    const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const query = new URLSearchParams(given).toString();
    return `#/${encodeURIComponent(run)}/${encodeURIComponent(panel)}${query ? `?${query}` : ""}`;
  }

  /** Where the address leads: what it names, or the first run and panel. */
  function current() {
    const wanted = route();
    const run = runs.find((one) => one.name === wanted.run) ?? runs[0];
    const panel = panels.get(wanted.panel) ?? panels.values().next().value;
    return { run, panel, params: run && run.name === wanted.run ? wanted.params : {} };
  }

  // The frame.

  const root = element("main", { id: "panel", tabindex: "-1" });
  const head = element("header");
  const notice = element("p", { class: "notice", role: "status", hidden: true });

  function drawHead({ run, panel }) {
    document.documentElement.lang = { en: "en", zh: "zh-CN" }[language()];
    document.title = run ? `${visible(run.title)} · Shotsmith` : "Shotsmith";
    const tabs = [...panels.values()].map((one) =>
      element(
        "a",
        { href: address(run.name, one.id), "aria-current": one === panel ? "page" : null, class: "tab" },
        text(one.title),
      ),
    );
    const names = runs.map((one) => element("option", { value: one.name, selected: one === run }, one.title === one.name ? one.name : `${one.name} (${one.title})`));
    const pick = element("select", { "aria-label": text("shell.run"), onchange: (event) => { location.hash = address(event.target.value, panel.id); } }, names);
    head.replaceChildren(
      element("p", { class: "brand" }, element("span", { class: "eyebrow" }, "Shotsmith"), " ", runs.length > 1 ? pick : element("bdi", { class: "run", title: run.folder }, run.title)),
      element("nav", { "aria-label": text("shell.panels") }, tabs),
      element("div", { class: "switches" }, switches()),
    );
  }

  function switches() {
    const other = language() === "en" ? "zh" : "en";
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    const theme = now === "dark" ? "light" : "dark";
    return [
      element("button", { type: "button", lang: { en: "en", zh: "zh-CN" }[other], onclick: () => setLanguage(other) }, { en: "English", zh: "中文" }[other]),
      element("button", { type: "button", onclick: () => { setTheme(theme === (dark ? "dark" : "light") ? null : theme); drawHead(current()); } }, text(`shell.${theme}`)),
      element("button", { type: "button", "aria-label": text("shell.help"), title: text("shell.help"), onclick: () => api.help() }, "?"),
    ];
  }

  /** Show what the address names; a panel that can take other parameters is not drawn anew for them. */
  function draw(anew = false) {
    const now = current();
    if (!now.run || !now.panel) return;
    drawHead(now);
    const context = {
      run: now.run,
      runs,
      params: now.params,
      go: (params) => { location.hash = address(now.run.name, now.panel.id, params); },
    };
    const same = shown && shown.run === now.run.name && shown.panel === now.panel;
    if (same && !anew && shown.handle?.update) {
      shown.handle.update(context);
      return;
    }
    shown?.handle?.leave?.();
    const place = element("div", { class: `panel ${now.panel.id}` });
    root.replaceChildren(place);
    shown = { run: now.run.name, panel: now.panel, handle: null };
    shown.handle = now.panel.show(place, context) ?? null;
    if (!same) scrollTo(0, 0);
  }

  /** Say something above the panel, such as that the server does not answer; null takes it back. */
  function tell(message) {
    notice.hidden = message === null;
    notice.textContent = message === null ? "" : visible(message);
  }

  async function start() {
    setTheme(kept("theme"));
    document.body.append(head, notice, root);
    for (;;) {
      try {
        runs = await get("runs");
        break;
      } catch (error) {
        tell(live ? text("shell.away") : String(error.message));
        if (!live) return;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    tell(null);
    addEventListener("hashchange", () => draw());
    draw();
  }

  document.addEventListener("DOMContentLoaded", start);

  const api = {
    live,
    /** Register a panel: show(root, context) draws it, and may return {update(context), leave()}. */
    panel: (id, { title, show }) => panels.set(id, { id, title, show }),
    /** Add texts of a language: keys with the panel's prefix to templates. */
    texts: (code, table) => { tables[code] = { ...tables[code], ...table }; },
    /** Called by the scripts of the static form. */
    loaded: (path, value) => { waiting.get(path)?.(value); waiting.delete(path); },
    api: get,
    panels: () => [...panels.values()],
    current,
    address,
    element,
    fileOf,
    language,
    number,
    prose,
    svg,
    tell,
    text,
    visible,
  };
  return api;
})();
