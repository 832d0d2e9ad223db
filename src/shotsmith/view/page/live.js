// The panel on which a run is watched: asks the server every second, and draws anew only what has changed.
"use strict";

(() => {
  const { element, api, text, visible } = shotsmith;
  const parts = (shotsmith.liveParts = {}); // filled by the scripts live_*.js: name -> draw(state) -> nodes
  const order = ["head", "now", "stages", "outcome", "curves", "findings"];

  const pathOf = (name, part = "") => `runs/${encodeURIComponent(name)}/live${part}`;

  /** What is known of one run, and how to bring it up to date. */
  function watched(run) {
    const known = { run, live: null, curves: null, findings: null, outcome: null, errors: {} };
    const versions = {};
    async function bring(part, path) {
      const wanted = `${known.live.versions[part]} ${shotsmith.language()}`;
      if (versions[part] === wanted) return;
      try {
        known[part] = await api(pathOf(run.name, path));
        delete known.errors[part];
      } catch (error) {
        if (error.status === undefined) throw error; // the server does not answer
        known.errors[part] = error.message;
      }
      versions[part] = wanted;
    }
    known.refresh = async (whole) => {
      known.live = await api(pathOf(run.name));
      await bring("curves", "/curves");
      if (!whole) return;
      await bring("outcome", `/outcome?lang=${shotsmith.language()}`);
      known.changed?.(); // findings may take seconds
      await bring("findings", `/findings?lang=${shotsmith.language()}`);
    };
    return known;
  }

  /** Put new nodes in the place of others; what had the focus has it again (by its data-keep), or is open again. */
  function replace(place, nodes) {
    const focused = place.contains(document.activeElement) ? document.activeElement.closest("[data-keep]")?.dataset.keep : undefined;
    const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.name));
    place.hidden = !nodes.length;
    place.replaceChildren(...nodes);
    for (const one of place.querySelectorAll("details")) one.open = open.has(one.dataset.name);
    if (focused !== undefined) [...place.querySelectorAll("[data-keep]")].find((one) => one.dataset.keep === focused)?.focus({ preventScroll: true });
  }

  shotsmith.panel("live", {
    title: "live.title",
    show(root, { run, runs }) {
      const places = Object.fromEntries(order.map((name) => [name, element("section", { class: `live-${name}`, hidden: true })]));
      root.append(...Object.values(places));
      const all = runs.map(watched);
      const own = all.find((one) => one.run.name === run.name);
      const state = { own, all, choice: {}, redraw: () => draw(), stopping: false };
      const drawn = {};
      let left = false;
      let timer = null;

      function draw() {
        if (left || !own.live) return;
        for (const name of order) {
          const { key, nodes } = parts[name](state);
          const now = `${shotsmith.language()} ${JSON.stringify(key)}`;
          if (drawn[name] === now) continue;
          drawn[name] = now;
          replace(places[name], nodes());
        }
      }

      own.changed = () => setTimeout(draw); // apart, so that a fault in drawing is not taken for one of the server

      async function poll() {
        try {
          await own.refresh(true);
          await Promise.all(all.filter((one) => one !== own).map((one) => one.refresh(false)));
          if (own.live.status !== "running") state.stopping = false;
          if (!left) shotsmith.tell(null);
        } catch (error) {
          if (!left) shotsmith.tell(error.status === undefined && shotsmith.live ? text("shell.away") : visible(error.message));
        }
        if (left) return;
        draw();
        if (shotsmith.live) timer = setTimeout(poll, document.hidden ? 5000 : own.live?.status === "running" ? 1000 : 2000);
      }

      const seen = () => {
        if (document.hidden || left) return;
        clearTimeout(timer);
        poll();
      };
      document.addEventListener("visibilitychange", seen);
      poll();
      return {
        leave() {
          left = true;
          clearTimeout(timer);
          document.removeEventListener("visibilitychange", seen);
          shotsmith.tell(null);
        },
        update() {},
      };
    },
  });
})();
