// The panel of test queries: the list. Columns come once; filters, search and order are made here.
"use strict";

(() => {
  const { address, api, element, live, number, prose, text, virtualList, visible } = shotsmith;
  const rowHeight = 76;
  const orders = ["data", "gain", "loss", "after", "before", "hard", "question", "kind"];
  const changes = ["fixed", "broken", "unchanged"];
  const reached = ["right", "partly", "wrong", "none"];

  const path = (run, rest) => `runs/${encodeURIComponent(run)}/${rest}`;
  const language = () => shotsmith.language();

  /** Where a picture of an example is: of the server, or a file of the static form. */
  function pictureOf(run, split, example, place, size) {
    return live
      ? `api/${path(run, `pictures/${split}/${example}/${place}`)}?size=${size}`
      : `pictures/${split}-${example}-${place}.webp`;
  }

  const saved = new Map();

  /** Of the static form: the names of the pictures that are saved with it. */
  function savedOf(run) {
    if (!saved.has(run)) saved.set(run, api(path(run, "pictures")).then((names) => new Set(names), () => new Set()));
    return saved.get(run);
  }

  /** A picture; one that cannot be shown, or is not saved with the page, leaves a box that says so. */
  function picture(run, split, example, place, size = "small") {
    if (live) return imageOf(run, split, example, place, size);
    const box = element("span", { class: "no-picture" });
    savedOf(run).then((names) => {
      if (names.has(`${split}-${example}-${place}`)) box.replaceWith(imageOf(run, split, example, place, size));
      else box.textContent = text("queries.picture_not_kept");
    });
    return box;
  }

  function imageOf(run, split, example, place, size) {
    const image = element("img", { src: pictureOf(run, split, example, place, size), alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => {
      image.replaceWith(element("span", { class: "no-picture" }, text("queries.no_picture")));
    });
    return image;
  }

  /** The name of a selector in the language chosen. */
  function nameOf(told, selector) {
    return told.selectors.find((one) => one.name === selector)?.[language()] ?? selector;
  }

  /** A figure of the leading metric as it is reported. */
  function figure(told, value) {
    if (value === null || value === undefined) return "–";
    const scaled = value * told.metric.scale;
    return told.metric.percent ? `${number(scaled, 0)} %` : number(scaled, 1);
  }

  /** An empty or missing answer in words. */
  function answerOf(answer) {
    if (answer === null || answer === undefined) return element("i", { class: "nothing" }, text("queries.no_answer"));
    return answer === "" ? element("i", { class: "nothing" }, text("queries.empty")) : prose(answer, 200);
  }

  shotsmith.queries = { path, picture, nameOf, figure, answerOf };

  /** The columns of a run, with the answers at one number of shots. */
  class Columns {
    constructor(told, answered, a, b) {
      Object.assign(this, { told, answered, a, b });
      this.count = told.id.length;
      this.before = this.figures(a);
      this.after = this.figures(b);
      this.change = this.after.map((after, row) => {
        const before = this.before[row];
        if (after === null || before === null) return null;
        return after > before ? "fixed" : after < before ? "broken" : "unchanged";
      });
      this.searched = Array.from({ length: this.count }, (_, row) =>
        [
          told.id[row],
          told.texts[told.question[row]],
          ...told.answers[row].map((place) => told.texts[place]),
          this.completion(a, row) ?? "",
          this.completion(b, row) ?? "",
        ]
          .join("\n")
          .toLowerCase(),
      );
    }

    figures(selector) {
      const { values, selectors } = this.answered;
      const column = selectors[selector]?.value;
      return Array.from({ length: this.count }, (_, row) => (column && column[row] >= 0 ? values[column[row]] : null));
    }

    completion(selector, row) {
      const place = this.answered.selectors[selector]?.text[row] ?? -1;
      return place < 0 ? null : this.answered.texts[place];
    }

    question(row) {
      return this.told.texts[this.told.question[row]];
    }

    /** The mean figure of all selectors: what is hard for all of them comes first. */
    get ease() {
      this._ease ??= this.means();
      return this._ease;
    }

    means() {
      const sums = new Float64Array(this.count);
      const counts = new Uint32Array(this.count);
      for (const { value } of Object.values(this.answered.selectors))
        value.forEach((place, row) => {
          if (place >= 0) {
            sums[row] += this.answered.values[place];
            counts[row] += 1;
          }
        });
      return Array.from(sums, (sum, row) => (counts[row] ? sum / counts[row] : null));
    }

    /** The rows that pass the filters of the address, in the order that it names. */
    rows({ q, kind, change, right, sort }) {
      const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [];
      for (let row = 0; row < this.count; row += 1) {
        if (change && this.change[row] !== change) continue;
        if (kind && this.told.kinds[this.told.kind[row]] !== kind) continue;
        if (right && this.reached(row) !== right) continue;
        if (words.every((word) => this.searched[row].includes(word))) rows.push(row);
      }
      return this.sorted(rows, sort);
    }

    /** How good the answer of the second selector is. */
    reached(row) {
      const value = this.after[row];
      if (value === null) return "none";
      if (value <= 0) return "wrong";
      return value < this.best ? "partly" : "right";
    }

    get best() {
      this._best ??= this.told.metric.percent ? 1 : Math.max(...this.answered.values, 0);
      return this._best;
    }

    sorted(rows, sort) {
      const lost = (row) => (this.change[row] === null ? null : this.before[row] - this.after[row]);
      const keys = {
        gain: lost,
        loss: (row) => (this.change[row] === null ? null : -lost(row)),
        after: (row) => this.after[row],
        before: (row) => this.before[row],
        hard: (row) => this.ease[row],
      };
      if (keys[sort]) {
        const key = Float64Array.from({ length: this.count }, (_, row) => keys[sort](row) ?? Infinity);
        return rows.sort((one, other) => key[one] - key[other] || one - other);
      }
      if (sort === "question" || sort === "kind") {
        const listed = sort === "kind" ? this.told.kinds : this.told.texts;
        const column = sort === "kind" ? this.told.kind : this.told.question;
        const collator = new Intl.Collator(language());
        const rank = new Map([...new Set(column)].sort((one, other) => collator.compare(listed[one], listed[other])).map((place, at) => [place, at]));
        return rows.sort((one, other) => rank.get(column[one]) - rank.get(column[other]) || one - other);
      }
      return rows;
    }

    /** Counts of changes and mean figures, of all queries or of one kind. */
    summary(kind = null) {
      this.summaries ??= new Map();
      if (!this.summaries.has(kind)) this.summaries.set(kind, this.summed(kind));
      return this.summaries.get(kind);
    }

    summed(kind) {
      const found = { count: 0, before: 0, after: 0, fixed: 0, broken: 0, unchanged: 0 };
      for (let row = 0; row < this.count; row += 1) {
        if (this.change[row] === null || (kind !== null && this.told.kind[row] !== kind)) continue;
        found.count += 1;
        found.before += this.before[row];
        found.after += this.after[row];
        found[this.change[row]] += 1;
      }
      return found;
    }
  }

  /** One drawing of the panel. */
  class Panel {
    constructor(root, context) {
      this.root = root;
      this.run = context.run.name;
      this.answered = new Map();
      this.loading = element("p", { class: "quiet" }, text("queries.loading"));
      root.append(this.loading);
    }

    async start(context) {
      this.context = context;
      try {
        this.told = await api(path(this.run, "queries"));
      } catch (error) {
        this.loading.textContent = visible(error.message);
        return;
      }
      if (!this.told.id.length) {
        this.loading.textContent = text(this.told.missing === "not_evaluated" ? "queries.not_evaluated" : "queries.nothing");
        return;
      }
      this.build();
      await this.update(this.context);
    }

    /** What the address asks for, with what the report compares where it is silent. */
    get view() {
      const { params } = this.context;
      const { a, b, shots } = this.told.default;
      const known = (name, other) => (this.told.selectors.some((one) => one.name === name) ? name : other);
      const wanted = Number(params.shots);
      return { ...params, a: known(params.a, a), b: known(params.b, b), shots: this.told.shots.includes(wanted) ? wanted : shots };
    }

    /** Change the address without a step in the history, and follow it. */
    set(changed) {
      const { id, ...params } = { ...this.context.params, ...changed };
      history.replaceState(null, "", address(this.run, "queries", { ...params, id }));
      this.update({ ...this.context, params: Object.fromEntries(Object.entries({ ...params, id }).filter(([, value]) => value !== undefined && value !== "" && value !== null)) });
    }

    build() {
      const { told } = this;
      const select = (key, options) => {
        const field = element("select", { onchange: (event) => this.set({ [key]: event.target.value }) }, options.map(([value, say]) => element("option", { value }, say)));
        this.fields[key] = field;
        return element("label", { class: "field" }, element("span", null, text(`queries.${key}`)), field);
      };
      const names = told.selectors.map((one) => [one.name, one[language()]]);
      this.fields = {};
      this.search = element("input", {
        type: "search", "data-search": "", placeholder: text("queries.search"), "aria-label": text("queries.search"), spellcheck: "false",
        oninput: (event) => this.set({ q: event.target.value }),
      });
      this.chosen = element("div", { class: "segments", role: "group", "aria-label": text("queries.change") });
      this.tally = element("p", { class: "quiet tally", role: "status" });
      this.list = element("div", { class: "rows", "aria-label": text("queries.title") });
      this.place = element("div", { class: "opened" });
      const filters = [
        select("a", names),
        select("b", names),
        select("shots", told.shots.map((one) => [one, one])),
        told.kinds.length > 1 && select("kind", [["", text("queries.every_kind")], ...[...told.kinds].sort().map((one) => [one, one || text("queries.no_kind")])]),
        select("right", [["", text("queries.any")], ...reached.map((one) => [one, text(`queries.reached.${one}`)])]),
        select("sort", orders.map((one) => [one === "data" ? "" : one, text(`queries.sort.${one}`)])),
      ];
      this.columns = null;
      this.loading.remove();
      this.root.append(
        element("div", { class: "tools" }, element("div", { class: "filters" }, filters), element("div", { class: "narrowing" }, this.search, this.chosen)),
        element("div", { class: "both" }, element("section", { class: "listed", "aria-label": text("queries.title") }, this.tally, this.list), this.place),
      );
      this.rows = [];
      this.virtual = virtualList(this.list, 0, rowHeight, (index) => this.drawRow(this.rows[index]));
    }

    async update(context) {
      const before = this.context;
      this.context = context;
      if (!this.told?.id.length || !this.virtual) return;
      const view = this.view;
      if (!this.answered.has(view.shots)) {
        this.answered.set(view.shots, await api(path(this.run, `queries/shots/${view.shots}`)));
        if (this.context !== context) return; // a later address is being followed
      }
      const known = this.columns;
      const answered = this.answered.get(view.shots);
      if (!known || known.answered !== answered || known.a !== view.a || known.b !== view.b)
        this.columns = new Columns(this.told, answered, view.a, view.b);
      this.follow(view, known === this.columns && before !== context ? before.params : null);
    }

    /** Draw what has changed since `before`, the parameters that are drawn; null for everything. */
    follow(view, before) {
      const keys = ["q", "kind", "change", "right", "sort"];
      const same = before && keys.every((key) => (before[key] ?? "") === (view[key] ?? ""));
      for (const [key, field] of Object.entries(this.fields)) field.value = view[key] ?? "";
      if (document.activeElement !== this.search) this.search.value = view.q ?? "";
      if (!same) {
        this.rows = this.columns.rows(view);
        this.tally.textContent = text("queries.tally", { shown: number(this.rows.length, 0), count: number(this.columns.count, 0) });
        this.drawChanges(view);
        this.list.scrollTop = 0;
        this.virtual.refresh(this.rows.length);
      }
      this.drawOpened(view, same);
    }

    drawChanges(view) {
      const counts = this.columns.summary();
      const button = (change, count) =>
        element("button", { type: "button", class: change || "all", "aria-pressed": String((view.change ?? "") === change), onclick: () => this.set({ change }) },
          text(`queries.change.${change || "all"}`), " ", element("b", null, number(count, 0)));
      this.chosen.replaceChildren(button("", this.columns.count), ...changes.map((one) => button(one, counts[one])));
    }

    /** Whether the query can be opened: the static form holds a part of them. */
    isKept(row) {
      return this.told.kept?.[row] !== 0;
    }

    drawRow(row) {
      const { told } = this.columns;
      const { a, b } = this.columns;
      const id = told.id[row];
      const change = this.columns.change[row];
      const answer = (selector, value) => {
        const said = this.columns.completion(selector, row);
        return element("span", { class: "said" }, element("bdi", { dir: "auto", class: said ? null : "nothing" }, said === null ? text("queries.no_answer") : said || text("queries.empty")), " ", element("small", null, figure(told, value)));
      };
      return element(
        "a",
        { class: `row ${change ?? "open"}${this.isKept(row) ? "" : " not-kept"}`, href: address(this.run, "queries", { ...this.context.params, id }), "aria-current": this.context.params.id === String(id) ? "true" : null },
        told.images[row] && this.isKept(row) ? picture(this.run, "test", id, 0) : element("span", { class: "no-picture" }),
        element("span", { class: "what" },
          element("bdi", { class: "question", dir: "auto" }, this.columns.question(row)),
          element("span", { class: "answers" }, answer(a, this.columns.before[row]), element("span", { class: "to", "aria-label": text("queries.then") }, "→"), answer(b, this.columns.after[row]))),
        element("span", { class: "sign", title: text(`queries.change.${change ?? "none"}`), role: "img", "aria-label": text(`queries.change.${change ?? "none"}`) }),
      );
    }

    drawOpened(view, kept) {
      this.root.classList.toggle("has-opened", view.id !== undefined);
      // Rows that were drawn before know neither the query opened now nor all parameters of the address.
      for (const row of kept ? this.list.querySelectorAll("[data-row]") : []) {
        const own = view.id !== undefined && String(this.told.id[this.rows[row.dataset.row]]) === view.id;
        if (own) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
        row.href = address(this.run, "queries", { ...this.context.params, id: this.told.id[this.rows[row.dataset.row]] });
      }
      if (view.id === undefined) {
        const left = this.last;
        this.last = undefined;
        if (this.overviewOf !== this.columns) this.place.replaceChildren(this.overview());
        this.overviewOf = this.columns;
        const at = left === undefined ? -1 : this.rows.findIndex((row) => String(this.told.id[row]) === left);
        if (at >= 0) this.virtual.focus(at);
        return;
      }
      const asked = JSON.stringify([view.id, view.a, view.b, view.shots]);
      if (this.last === view.id && this.asked === asked) return;
      this.asked = asked;
      this.last = view.id;
      this.overviewOf = null;
      const back = element("a", { class: "back", href: address(this.run, "queries", { ...this.context.params, id: undefined }) }, text("queries.back"));
      const place = element("article", { "aria-busy": "true" }, element("p", { class: "quiet" }, text("queries.loading")));
      this.place.replaceChildren(back, place);
      if (this.isKept(this.told.id.indexOf(Number(view.id)))) shotsmith.drawQuery(place, { run: this.run, told: this.told, view });
      else place.replaceChildren(element("p", null, text("queries.not_kept")));
      if (getComputedStyle(this.list.closest(".listed")).display === "none") scrollTo(0, 0);
    }

    /** What stands beside the list before a query is opened: how the pair compares, by kind of question. */
    overview() {
      const { told, a, b } = this.columns;
      const line = (label, kind) => {
        const found = this.columns.summary(kind);
        const mean = (sum) => (found.count ? number((sum / found.count) * told.metric.scale, 1) : "–");
        const difference = found.count ? ((found.after - found.before) / found.count) * told.metric.scale : null;
        const shown = difference === null ? "–" : `${difference < 0 ? "−" : difference > 0 ? "+" : ""}${number(Math.abs(difference), 1)}`;
        const sign = difference > 0.05 ? "good" : difference < -0.05 ? "bad" : null;
        const name = kind === null ? label : element("button", { type: "button", class: "plain", onclick: () => this.set({ kind: told.kinds[kind] }) }, element("bdi", { dir: "auto" }, label));
        return element("tr", { class: kind === null ? "strong" : null }, element("th", { class: "text", scope: "row" }, name),
          [number(found.count, 0), mean(found.before), mean(found.after)].map((one) => element("td", null, one)),
          element("td", { class: sign }, shown), element("td", null, number(found.fixed, 0)), element("td", null, number(found.broken, 0)));
      };
      const heads = ["count", "before", "after", "difference", "fixed", "broken"];
      const names = { before: nameOf(told, a), after: nameOf(told, b) };
      const kinds = told.kinds.map((_, kind) => kind).sort((one, other) => (told.kinds[one] < told.kinds[other] ? -1 : 1));
      return element("div", { class: "overview" },
        element("h2", null, text("queries.overview", { before: names.before, after: names.after })),
        element("p", { class: "quiet" }, text("queries.overview.what", { metric: told.metric[language()] })),
        element("div", { class: "scroll" }, element("table", null,
          element("thead", null, element("tr", null, element("th", { class: "text", scope: "col" }, text("queries.kind")), heads.map((one) => element("th", { scope: "col" }, names[one] ?? text(`queries.head.${one}`))))),
          element("tbody", null, line(text("queries.all"), null), told.kinds.length > 1 && kinds.map((kind) => line(told.kinds[kind] || text("queries.no_kind"), kind))))),
        element("p", { class: "quiet" }, text("queries.hint")),
        told.kept?.includes(0) && element("p", { class: "quiet" }, text("queries.kept", { count: number(told.kept.filter(Boolean).length, 0) })));
    }
  }

  shotsmith.panel("queries", {
    title: "queries.title",
    show(root, context) {
      const panel = new Panel(root, context);
      panel.start(context);
      return { update: (now) => panel.update(now) };
    },
  });
})();
