// One test query, opened: its pictures and answers, and what every selector showed and reached.
"use strict";

(() => {
  const { api, element, live, number, prose, text, visible } = shotsmith;
  const { answerOf, figure, nameOf, path, picture } = shotsmith.queries;

  /** Whether a policy of the run has results. */
  const isTrained = (told) => told.selectors.some((one) => ["supervised", "rce", "grpo"].includes(one.name));

  /** A probability as a percentage, with more digits where it is small. */
  function share(value) {
    if (value === null || value === undefined) return "–";
    const percent = value * 100;
    if (percent > 0 && percent < 0.01) return "< 0.01 %";
    return `${number(percent, percent >= 10 ? 0 : percent >= 1 ? 1 : 2)} %`;
  }

  /** The demonstrations of a sequence in the order shown. `scores` are probabilities, `controls` adds buttons. */
  function strip(run, sequence, examples, { scores = null, leftOut = 0, bare = 0, controls = null } = {}) {
    if (!sequence.length) return element("p", { class: "quiet" }, text("queries.no_demonstrations"));
    let without = bare;
    const cards = sequence.map((id, place) => {
      const one = examples[id];
      const out = place < leftOut;
      const hidden = !out && one?.images > 0 && without > 0;
      if (hidden) without -= 1;
      return element("li", { class: out ? "out" : null },
        element("span", { class: "place" }, place + 1),
        one ? card(run, id, one, hidden) : element("p", { class: "nothing" }, text("queries.gone", { id })),
        out && element("p", { class: "quiet" }, text("queries.left_out")),
        scores && element("p", { class: scores.length ? "score" : "score waiting", title: text("queries.score.what") }, element("span", { class: "bar" }, element("i", { style: { width: `${Math.round((scores[place] ?? 0) * 100)}%` } })), share(scores[place])),
        controls?.(place));
    });
    return element("ol", { class: "strip" }, cards);
  }

  /** An entry of the bank: pictures, question and the answer that a prompt shows. */
  function card(run, id, one, hidden = false) {
    return [
      one.images > 0 && element("div", { class: hidden ? "pictures hidden" : "pictures", title: hidden ? text("queries.without_image") : null }, Array.from({ length: one.images }, (_, place) => picture(run, "bank", id, place))),
      element("p", { class: "asked" }, prose(one.question, 160)),
      element("p", { class: "given" }, prose(one.answer, 80)),
      element("p", { class: "id" }, `#${id}`),
    ];
  }

  shotsmith.cards = { card, strip, share };

  /** Draw a query into `place`. `told` is the list of queries, `view` the pair of selectors and the number of shots. */
  shotsmith.drawQuery = async (place, { run, told, view }) => {
    let query;
    try {
      query = await api(path(run, `queries/${view.id}`));
    } catch (error) {
      place.replaceChildren(element("p", { class: "notice" }, error.message));
      place.removeAttribute("aria-busy");
      return;
    }
    if (!place.isConnected) return; // another one has been opened
    const tries = query.tries.map((one, at) => ({ ...one, at })).filter((one) => one.shots === view.shots);
    const of = (selector) => tries.filter((one) => one.selector === selector).sort((one, other) => (one.seed ?? 0) - (other.seed ?? 0) || one.draw - other.draw);
    const pair = [...new Set([view.a, view.b])];
    const others = told.selectors.map((one) => one.name).filter((name) => !pair.includes(name) && of(name).length);
    const drawn = { run, told, view, query, strips: new Map(), note: element("p", { class: "quiet score-note" }, isTrained(told) ? "\u00a0" : null) };
    place.replaceChildren(...[
      head(drawn),
      live && drawn.note,
      ...pair.map((name) => block(drawn, name, of(name), true)),
      others.length && element("section", { class: "others" }, element("h3", null, text("queries.others")), others.map((name) => block(drawn, name, of(name), false))),
    ].filter((one) => one instanceof Node));
    place.removeAttribute("aria-busy");
    if (live) addScores(drawn);
  };

  function head({ run, told, query }) {
    const answers = query.answers.map(([answer, count]) => element("li", null, prose(answer, 80), count > 1 && element("b", null, ` ×${count}`)));
    return element("div", { class: "query" },
      query.images > 0 && element("div", { class: "pictures" }, Array.from({ length: query.images }, (_, place) => picture(run, "test", query.id, place, "large"))),
      element("div", { class: "asked" },
        element("p", { class: "chips" }, query.kind && element("bdi", { class: "chip", dir: "auto" }, query.kind), element("span", { class: "chip" }, `#${query.id}`)),
        element("h2", null, prose(query.question, 400)),
        query.options.length > 0 && element("ul", { class: "options", "aria-label": text("queries.options") }, query.options.map((one) => element("li", null, prose(one, 200)))),
        element("h3", null, text("queries.human")),
        element("ul", { class: "human" }, answers)));
  }

  /** What one selector showed: every seed and draw, open for the pair, folded for the others. */
  function block(drawn, selector, tries, open) {
    const { told, view } = drawn;
    const first = tries.find((one) => one.value !== null) ?? tries[0];
    const role = selector === view.b ? "after" : selector === view.a ? "before" : "other";
    const title = [
      element("span", { class: "who" }, nameOf(told, selector)),
      first && element("span", { class: "said" }, answerOf(first.text)),
      first && element("span", { class: `value ${first.value > 0 ? "good" : "bad"}` }, figure(told, first.value)),
      tries.length > 1 && element("span", { class: "quiet" }, text("queries.tries", { count: tries.length })),
    ];
    const inside = () => (tries.length ? tries.map((one) => attempt(drawn, one, tries.length > 1)) : [element("p", { class: "quiet" }, text("queries.not_tried", { shots: view.shots }))]);
    if (open) return element("section", { class: `selector ${role}` }, element("h3", null, title), inside());
    const details = element("details", { class: "selector other" }, element("summary", null, title));
    details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) { details.append(...inside()); showScores(drawn); } });
    return details;
  }

  function attempt(drawn, one, several) {
    const { run, told, query } = drawn;
    const place = element("div", { class: "shown" });
    const draw = (scores) => place.replaceChildren(strip(run, one.sequence, query.examples, { scores, leftOut: one.left_out, bare: one.without_image }));
    draw(live && isTrained(told) ? [] : null); // their room is kept, so that nothing moves when they come
    drawn.strips.set(one.at, draw);
    const which = [one.seed !== null && told.selectors.length && text("queries.seed", { seed: one.seed }), one.draw > 0 && text("queries.draw", { draw: one.draw + 1 })].filter(Boolean);
    return element("div", { class: "attempt" },
      several && element("p", { class: "which" }, element("span", { class: "quiet" }, which.join(" · ") || text("queries.draw", { draw: 1 })), " ", answerOf(one.text), " ", element("b", null, figure(told, one.value))),
      one.failure && element("p", { class: "notice" }, text("queries.failed"), " ", prose(one.failure, 300)),
      place,
      one.selector === "majority_vote" && element("p", { class: "quiet" }, text("queries.vote")),
      live && one.selector !== "majority_vote" && tools(drawn, one));
  }

  /** What a server can tell of a sequence: the prompt, the policy's other choices, other demonstrations. */
  function tools(drawn, one) {
    const place = element("div", { class: "more-of-it" });
    const panes = {
      prompt: () => shotsmith.drawPrompt(place, drawn, one),
      choices: isTrained(drawn.told) && one.sequence.length ? () => shotsmith.drawChoices(place, drawn, one) : null,
      change: () => shotsmith.drawWhatIf(place, drawn, one),
    };
    const buttons = Object.entries(panes).filter(([, open]) => open).map(([name, open]) => {
      const button = element("button", { type: "button", "aria-expanded": "false" }, text(`queries.open.${name}`));
      button.addEventListener("click", () => {
        const shut = button.getAttribute("aria-expanded") === "true";
        for (const other of buttons) other.setAttribute("aria-expanded", "false");
        place.replaceChildren();
        if (shut) return;
        button.setAttribute("aria-expanded", "true");
        open();
      });
      return button;
    });
    return [element("p", { class: "buttons" }, buttons), place];
  }

  /** The policy's probabilities come after the rest: a policy is loaded for them. */
  async function addScores(drawn) {
    if (!isTrained(drawn.told)) return;
    try {
      const told = await api(path(drawn.run, `queries/${drawn.query.id}/scores`));
      drawn.scores = told.scores;
      drawn.note.replaceChildren(text("queries.score.of", { ...told.policy, phase: nameOf(drawn.told, told.policy.phase) }));
    } catch {
      drawn.scores = []; // without embeddings or checkpoints in the run folder there are no probabilities
    }
    showScores(drawn);
  }

  function showScores({ scores, strips }) {
    if (!scores) return;
    for (const [at, draw] of strips) draw(scores[at] ?? null);
    strips.clear();
  }
})();
