// The panel of demonstrations: the bank as a list. Columns come once; filters, search and order are made here.
"use strict";

(() => {
  const { address, api, element, number, text, virtualList, visible } = shotsmith;
  const lists = ["mend", "harmful", "useful", "contradictory", "never_shown"];
  const orders = ["shown", "wrong", "harm", "use", "data"];
  const clear = 0.05; // the false discovery rate of the lists

  const shared = (shotsmith.demonstrations = {});

  shared.path = (run, rest = "") => `runs/${encodeURIComponent(run)}/demonstrations${rest}`;

  /** The picture of an entry; a box where there is none. */
  shared.picture = (run, id, pictures, size = "small", split = "bank") =>
    pictures ? shotsmith.queries.picture(run, split, id, 0, size) : element("span", { class: "no-picture" });

  /** A share in percent; what is nearly certain is not called certain. */
  shared.percent = (share) => {
    if (share === null || share === undefined) return "–";
    if (share > 0.99 && share <= 1) return "> 99 %";
    return share > 0 && share < 0.01 ? "< 1 %" : `${number(100 * share, 0)} %`;
  };

  const signed = (value) => `${value > 0 ? "+" : ""}${number(value, 1)}`;

  /** A value with its interval in words. */
  shared.valueText = ({ value, low, high }) => {
    if (value === null || value === undefined) return text("demonstrations.no_value");
    return low === null ? signed(value) : `${signed(value)} [${signed(low)}, ${signed(high)}]`;
  };

  /** The same as a bar on a scale from -reach to reach: 0 in the middle, the interval as a line, the value as a dot. */
  shared.valueBar = ({ value, low, high, adjusted }, reach) => {
    const track = element("span", { class: "value-track", role: "img", "aria-label": shared.valueText({ value, low, high }) });
    if (value === null || value === undefined) return track;
    const at = (one) => `${50 + 50 * Math.max(-1, Math.min(1, one / reach))}%`;
    const kind = adjusted <= clear && low !== null ? (value < 0 ? "bad" : "good") : "open";
    track.classList.add(kind);
    if (low !== null) track.append(element("i", { class: "interval", style: { left: at(low), right: `calc(100% - ${at(high)})` } }));
    track.append(element("i", { class: "dot", style: { left: at(value) } }));
    return track;
  };

  /** The columns of a bank. */
  class Bank {
    constructor(told) {
      Object.assign(this, { told, columns: told.columns, count: told.columns.id.length });
      const { columns } = this;
      this.shown = columns.train.map((train, row) => train + columns.val[row] + columns.test[row]);
      this.rowOf = new Map(columns.id.map((id, row) => [String(id), row]));
      this.members = Object.fromEntries(Object.entries(told.lists).map(([name, rows]) => [name, new Set(rows)]));
      this.places = Object.fromEntries(Object.entries(told.lists).map(([name, rows]) => [name, new Map(rows.map((row, at) => [row, at]))]));
      this.lower = columns.texts.map((one) => one.toLowerCase());
      const highest = columns.value.map((value, row) => Math.abs(columns.low[row] === null ? 0 : value)).sort((a, b) => a - b);
      this.reach = Math.max(10, highest[Math.floor(highest.length * 0.98)] ?? 10);
    }

    text(column, row) {
      const place = this.columns[column]?.[row];
      return place === undefined ? "" : this.columns.texts[place];
    }

    value(row) {
      const { value, low, high, adjusted } = this.columns;
      return { value: value[row], low: low[row], high: high[row], adjusted: adjusted[row] };
    }

    get kinds() {
      return [...new Set(this.columns.kind)].map((place) => this.columns.texts[place]).filter(Boolean).sort();
    }

    /** The rows that pass the filters of the address, in the order that it names. */
    rows({ q, list, kind, sort }) {
      const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const { columns, lower } = this;
      const rows = [];
      const member = list ? this.members[list] : null;
      for (let row = 0; row < this.count; row += 1) {
        if (member && !member.has(row)) continue;
        if (kind && this.text("kind", row) !== kind) continue;
        if (words.length) {
          const id = String(columns.id[row]);
          const question = lower[columns.question[row]];
          const answer = lower[columns.answer[row]];
          if (!words.every((word) => question.includes(word) || answer.includes(word) || id.includes(word))) continue;
        }
        rows.push(row);
      }
      return this.sorted(rows, sort ?? (list ? "list" : "shown"), list);
    }

    sorted(rows, sort, list) {
      const keys = {
        list: (row) => this.places[list]?.get(row) ?? row,
        shown: (row) => -this.shown[row],
        wrong: (row) => (this.columns.wrong ? -this.columns.wrong[row] : 0),
        harm: (row) => this.columns.high[row] ?? Infinity,
        use: (row) => (this.columns.low[row] === null ? Infinity : -this.columns.low[row]),
        data: (row) => row,
      };
      const key = Float64Array.from({ length: this.count });
      for (const row of rows) key[row] = (keys[sort] ?? keys.shown)(row);
      return rows.sort((one, other) => key[one] - key[other] || one - other);
    }
  }

  /** One drawing of the panel. */
  class Panel {
    constructor(root, context) {
      Object.assign(this, { root, context, run: context.run.name });
      this.loading = element("p", { class: "quiet", role: "status" }, text("demonstrations.loading"));
      root.append(this.loading);
      this.start();
    }

    async start() {
      try {
        this.bank = new Bank(await api(shared.path(this.run)));
      } catch (error) {
        this.loading.textContent = visible(error.message);
        return;
      }
      if (!this.root.isConnected) return;
      this.loading.remove();
      this.build();
      this.follow(null);
    }

    /** Change the address without a step in the history, and follow it. */
    set(changed) {
      const params = Object.fromEntries(Object.entries({ ...this.context.params, ...changed }).filter(([, value]) => value));
      history.replaceState(null, "", address(this.run, "demonstrations", params));
      this.update({ ...this.context, params });
    }

    update(context) {
      const before = this.context.params;
      this.context = context;
      if (this.list) this.follow(before);
    }

    leave() {
      this.map?.leave();
    }

    build() {
      const { bank } = this;
      const { counts } = bank.told;
      const select = (key, options) => {
        this.fields[key] = element("select", { onchange: (event) => this.set({ [key]: event.target.value }) }, options.map(([value, say]) => element("option", { value }, say)));
        return element("label", { class: "field" }, element("span", null, text(`demonstrations.${key}`)), this.fields[key]);
      };
      this.fields = {};
      this.search = element("input", {
        type: "search", "data-search": "", placeholder: text("demonstrations.search"), "aria-label": text("demonstrations.search"), spellcheck: "false",
        oninput: (event) => this.set({ q: event.target.value }),
      });
      this.segments = element("div", { class: "segments", role: "group", "aria-label": text("demonstrations.list") });
      this.counts = { all: bank.count, ...counts, contradictory: bank.told.lists.contradictory.length };
      this.tally = element("p", { class: "quiet tally", role: "status" });
      this.rowsPlace = element("div", { class: "rows", "aria-label": text("demonstrations.title") });
      this.side = element("div", { class: "side" });
      this.root.append(
        shared.advice(this),
        element("div", { class: "tools" }, this.segments,
          element("div", { class: "filters" }, this.search,
            bank.kinds.length > 1 && select("kind", [["", text("demonstrations.every_kind")], ...bank.kinds.map((one) => [one, one])]),
            select("sort", [["", text("demonstrations.sort.usual")], ...orders.map((one) => [one, text(`demonstrations.sort.${one}`)])]))),
        element("div", { class: "both" },
          element("section", { class: "listed", "aria-label": text("demonstrations.title") }, this.tally,
            element("div", { class: "row head", "aria-hidden": "true" }, element("span"), element("span", null, text("demonstrations.head.entry")), element("span", { class: "count" }, text("demonstrations.head.shown")), element("span", { class: "worth" }, text("demonstrations.head.value")), element("span", { class: "label" }, text("demonstrations.head.wrong"))),
            this.rowsPlace),
          this.side),
      );
      this.rows = [];
      const height = matchMedia("(max-width: 42rem)").matches ? 92 : 64;
      this.list = virtualList(this.rowsPlace, 0, height, (index) => this.drawRow(this.rows[index]));
    }

    /** Draw what has changed since the parameters `before`; null for everything. */
    follow(before) {
      const { params } = this.context;
      const keys = ["q", "list", "kind", "sort"];
      if (!before || keys.some((key) => (before[key] ?? "") !== (params[key] ?? ""))) {
        this.rows = this.bank.rows(params);
        this.tally.textContent = text("demonstrations.tally", { shown: number(this.rows.length, 0), count: number(this.bank.count, 0) });
        for (const [key, field] of Object.entries(this.fields)) field.value = params[key] ?? "";
        if (document.activeElement !== this.search) this.search.value = params.q ?? "";
        this.segments.replaceChildren(...["", ...lists].filter((name) => !name || this.counts[name]).map((name) =>
          element("button", { type: "button", class: name || "all", "aria-pressed": String((params.list ?? "") === name), onclick: () => this.set({ list: name, sort: "" }) },
            text(`demonstrations.list.${name || "all"}`), " ", element("b", null, number(this.counts[name || "all"], 0)))));
        this.rowsPlace.scrollTop = 0;
        this.list.refresh(this.rows.length);
      }
      if (!before || (before.id ?? "") !== (params.id ?? "")) this.open(params.id);
      for (const row of this.rowsPlace.querySelectorAll("[data-row]")) this.link(row, this.rows[row.dataset.row]);
    }

    open(id) {
      this.root.classList.toggle("has-opened", id !== undefined);
      this.map?.leave();
      this.map = null;
      if (id !== undefined) {
        shared.open(this, id);
        return;
      }
      this.side.replaceChildren();
      this.map = shared.bankMap(this);
      this.side.append(...[this.map?.node, ...shared.overview(this)].filter(Boolean));
      this.map?.draw();
    }

    link(node, row) {
      const id = this.bank.columns.id[row];
      node.href = address(this.run, "demonstrations", { ...this.context.params, id });
      if (this.context.params.id === String(id)) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }

    drawRow(row) {
      const { bank, run } = this;
      const { columns } = bank;
      const wrong = columns.wrong?.[row];
      const mend = bank.members.mend.has(row);
      const said = element("span", { class: "answers" }, element("bdi", { dir: "auto", class: mend ? "doubtful" : null }, bank.text("answer", row)),
        mend && [" → ", element("bdi", { dir: "auto", class: "suggested" }, bank.text("suggested", row))]);
      const made = element(
        "a",
        { class: "row" },
        shared.picture(run, columns.id[row], columns.pictures[row]),
        element("span", { class: "what" }, element("bdi", { class: "question", dir: "auto" }, bank.text("question", row).slice(0, 300)), said),
        element("span", { class: "count", title: text("demonstrations.shown_times", { train: columns.train[row], val: columns.val[row], test: columns.test[row] }) }, number(bank.shown[row], 0)),
        element("span", { class: "worth" }, shared.valueBar(bank.value(row), bank.reach), element("small", null, columns.value[row] === null ? "–" : signed(columns.value[row]))),
        element("span", { class: `label${mend ? " bad" : ""}` }, wrong === undefined ? "" : shared.percent(wrong)),
      );
      this.link(made, row);
      return made;
    }
  }

  shotsmith.panel("demonstrations", { title: "demonstrations.title", show: (root, context) => new Panel(root, context) });
})();
