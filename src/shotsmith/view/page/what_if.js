// What a server can tell of a query beyond its results: prompts, other choices of the policy, other demonstrations.
"use strict";

(() => {
  const { api, element, number, prose, text, visible } = shotsmith;
  const { answerOf, figure, path } = shotsmith.queries;
  const { card, share, strip } = shotsmith.cards;
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  /** Fill `place` with what `load` brings, or with why it does not. */
  async function fill(place, load) {
    const waiting = element("p", { class: "quiet" }, text("queries.loading"));
    place.replaceChildren(waiting);
    let content;
    try {
      content = await load();
    } catch (error) {
      content = element("p", { class: "notice" }, error.message);
    }
    if (waiting.isConnected) place.replaceChildren(content);
  }

  // The prompt.

  shotsmith.drawPrompt = (place, drawn, one) =>
    fill(place, async () => promptOf(await api(path(drawn.run, `queries/${drawn.query.id}/prompt?sequence=${one.sequence.join(",")}`))));

  function promptOf(told) {
    const shortened = told.left_out + told.without_image > 0 && element("p", { class: "quiet" }, text("queries.budget", { left_out: told.left_out, without: told.without_image }));
    if (told.messages) return element("div", { class: "prompt" }, shortened, element("p", { class: "quiet" }, text("queries.messages")), element("pre", { tabindex: "0" }, JSON.stringify(told.messages, null, 2)));
    const ofImages = told.images.reduce((sum, image) => sum + image.tokens, 0);
    const head = element("p", { class: "quiet" }, text("queries.tokens", { tokens: number(told.tokens, 0), images: number(ofImages, 0) }), told.most_tokens ? " " + text("queries.context", { most: number(told.most_tokens, 0) }) : null);
    const rows = told.images.map((image) => element("tr", null,
      element("td", { class: "text" }, element("bdi", { dir: "auto" }, image.file.split(/[\\/]/).pop())),
      [`${image.width} × ${image.height}`, image.grid ? image.grid.join(" × ") : "–", number(image.tokens, 0)].map((cell) => element("td", null, cell))));
    return element("div", { class: "prompt" }, shortened, head, element("pre", { dir: "auto", tabindex: "0" }, told.text),
      rows.length > 0 && element("div", { class: "scroll" }, element("table", null,
        element("thead", null, element("tr", null, ["image", "size", "grid", "tokens"].map((name, at) => element("th", { scope: "col", class: at ? null : "text" }, text(`queries.image.${name}`))))),
        element("tbody", null, rows))));
  }

  // The policy's choices.

  shotsmith.drawChoices = (place, drawn, one) =>
    fill(place, async () => {
      const seed = one.seed === null ? "" : `&seed=${one.seed}`;
      const told = await api(path(drawn.run, `queries/${drawn.query.id}/choices?sequence=${one.sequence.join(",")}&selector=${encodeURIComponent(one.selector)}${seed}`));
      return element("div", { class: "choices" },
        element("p", { class: "quiet" }, text(told.outwards ? "queries.choices.outwards" : "queries.choices.inwards", told.policy)),
        told.steps.map((step, at) => stepOf(drawn.run, step, at, told.examples)));
    });

  function stepOf(run, step, at, examples) {
    const listed = step.alternatives.map((one) => [one.id, one.probability]);
    if (step.chosen !== null && !listed.some(([id]) => id === step.chosen)) listed.push([step.chosen, step.probability]);
    const rows = listed.map(([id, value]) => {
      const one = examples[id];
      return element("li", { class: id === step.chosen ? "chosen" : null },
        element("span", { class: "bar" }, element("i", { style: { width: `${Math.round(value * 100)}%` } })),
        element("b", null, share(value)),
        one?.images > 0 && shotsmith.queries.picture(run, "bank", id, 0),
        one ? element("span", { class: "what" }, prose(one.question, 80), " ", element("b", null, prose(one.answer, 40))) : `#${id}`);
    });
    const chosen = step.chosen === null ? text("queries.step.stopped", { probability: share(step.probability) }) : text("queries.step.chosen", { rank: number(step.rank, 0), choices: number(step.choices, 0) });
    return element("details", { class: "step", open: at === 0 },
      element("summary", null, element("b", null, text("queries.step", { step: at + 1 })), " ", chosen, step.stop !== undefined && step.chosen !== null ? " " + text("queries.step.stop", { probability: share(step.stop) }) : null),
      element("ol", { class: "alternatives" }, rows));
  }

  // What if.

  shotsmith.drawWhatIf = (place, drawn, one) => place.replaceChildren(new WhatIf(drawn, one).root);

  class WhatIf {
    constructor(drawn, one) {
      Object.assign(this, { drawn, one, sequence: [...one.sequence], examples: { ...drawn.query.examples } });
      this.shown = element("div");
      this.answer = element("div", { class: "answer", role: "status" });
      this.search = element("div", { class: "bank" });
      this.turn = 0;
      const button = (say, act) => element("button", { type: "button", onclick: act }, text(say));
      this.root = element("div", { class: "what-if" },
        element("p", { class: "quiet" }, text("queries.change.what")),
        this.shown,
        element("p", { class: "buttons" },
          button("queries.change.reverse", () => this.follow([...this.sequence].reverse())),
          button("queries.change.add", () => this.choose(this.sequence.length)),
          button("queries.change.undo", () => this.follow([...this.one.sequence]))),
        this.search, this.answer);
      this.follow(this.sequence);
    }

    follow(sequence) {
      this.sequence = sequence;
      this.search.replaceChildren();
      this.shown.replaceChildren(strip(this.drawn.run, sequence, this.examples, { controls: (place) => this.controls(place) }));
      this.tell(false);
    }

    controls(place) {
      const at = this.sequence;
      const button = (sign, say, act, off = false) => element("button", { type: "button", title: text(say), "aria-label": text(say), disabled: off, onclick: act }, sign);
      const moved = (to) => {
        const sequence = [...at];
        [sequence[place], sequence[to]] = [sequence[to], sequence[place]];
        this.follow(sequence);
        this.shown.querySelectorAll("li")[to]?.querySelector("button:not(:disabled)")?.focus();
      };
      return element("p", { class: "controls" },
        button("←", "queries.change.earlier", () => moved(place - 1), place === 0),
        button("→", "queries.change.later", () => moved(place + 1), place === at.length - 1),
        button("×", "queries.change.leave_out", () => this.follow(at.filter((_, other) => other !== place))),
        button("⇄", "queries.change.replace", () => this.choose(place)));
    }

    /** Search the bank for what is to stand at a place. */
    choose(place) {
      const found = element("div", { class: "found" });
      let turn = 0;
      const field = element("input", {
        type: "search", placeholder: text("queries.bank"), "aria-label": text("queries.bank"), maxlength: "200", spellcheck: "false",
        oninput: async () => {
          turn += 1;
          const own = turn;
          await pause(150);
          if (own !== turn) return;
          const words = field.value.trim();
          if (!words) { found.replaceChildren(); return; }
          let told;
          try {
            told = await api(path(this.drawn.run, `bank?query=${this.drawn.query.id}&words=${encodeURIComponent(words)}`));
          } catch (error) {
            if (own === turn) found.replaceChildren(element("p", { class: "notice" }, error.message));
            return;
          }
          if (own === turn) this.offer(found, told, place);
        },
      });
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        this.search.replaceChildren();
      });
      this.search.replaceChildren(element("p", { class: "quiet" }, text(place < this.sequence.length ? "queries.bank.replace" : "queries.bank.add", { place: place + 1 })), field, found);
      field.focus();
    }

    offer(found, told, place) {
      const cards = told.found.filter((one) => !this.sequence.includes(one.id)).map((one) =>
        element("li", null, element("button", { type: "button", class: "entry", onclick: () => {
          this.examples[one.id] = one;
          const sequence = [...this.sequence];
          sequence[place] = one.id;
          this.follow(sequence);
        } }, card(this.drawn.run, one.id, one))));
      found.replaceChildren(
        element("p", { class: "quiet" }, text(told.count > told.found.length ? "queries.bank.first" : "queries.bank.count", { shown: number(told.found.length, 0), count: number(told.count, 0) })),
        element("ol", { class: "strip" }, cards));
    }

    /** Say what the VLM answers: from the store, or by asking it. */
    async tell(ask) {
      this.turn += 1;
      const own = this.turn;
      const { drawn, sequence } = this;
      this.answer.setAttribute("aria-busy", "true");
      const body = { query: drawn.query.id, sequence };
      let told;
      try {
        told = await api(path(drawn.run, "what-if"), { ...body, ask });
        while (told.state === "asking" && own === this.turn && this.root.isConnected) {
          this.answer.replaceChildren(element("p", { class: "quiet" }, text("queries.asking")));
          await pause(400);
          if (own === this.turn) told = await api(path(drawn.run, "what-if"), body);
        }
      } catch (error) {
        told = { state: "failed", failure: error.message };
      }
      if (own !== this.turn) return;
      this.answer.removeAttribute("aria-busy");
      this.answer.replaceChildren(...this.answered(told), element("details", { class: "prompt-of-it" }, element("summary", null, text("queries.open.prompt"))));
      const details = this.answer.querySelector(".prompt-of-it");
      details.addEventListener("toggle", () => {
        const place = element("div");
        if (!details.open || details.children.length > 1) return;
        details.append(place);
        shotsmith.drawPrompt(place, drawn, { sequence });
      });
    }

    answered(told) {
      const { told: list } = this.drawn;
      const before = element("p", { class: "quiet" }, text("queries.before"), " ", answerOf(this.one.text), " ", element("b", null, figure(list, this.one.value)));
      const ask = element("button", { type: "button", class: "ask", onclick: () => this.tell(true) }, text("queries.ask"));
      if (told.state === "unknown") return [before, element("p", null, text("queries.unknown"), " ", ask)];
      if (told.state === "failed") return [before, element("p", { class: "notice" }, visible(told.failure)), element("p", null, ask)];
      if (told.state === "asking") return [before];
      const sign = told.value > (this.one.value ?? 0) ? "good" : told.value < (this.one.value ?? 0) ? "bad" : "";
      return [before, element("p", { class: "now" }, text("queries.now"), " ", answerOf(told.text), " ", element("b", { class: sign }, figure(list, told.value)), " ", element("span", { class: "chip" }, text(`queries.state.${told.state}`)))];
    }
  }
})();
