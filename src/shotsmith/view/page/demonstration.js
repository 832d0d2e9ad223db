// The panel of demonstrations: what to do about the bank, its groups and regions, and one entry opened.
"use strict";

(() => {
  const { address, api, element, number, prose, text, visible } = shotsmith;
  const shared = shotsmith.demonstrations;
  const signedScore = (value) => (value === null || value === undefined ? "–" : number(value, 0));
  const { percent } = shared;

  /** What to do, in a few sentences; each leads to its list. */
  shared.advice = (panel) => {
    const { told } = panel.bank;
    const { counts } = told;
    const say = (key, values, list) =>
      element("li", { class: key },
        element("b", null, text(`demonstrations.do.${key}`)), " ",
        element("span", null, text(`demonstrations.do.${key}.why`, values)), " ",
        list && element("button", { type: "button", class: "plain", onclick: () => panel.set({ list, sort: "", kind: "", q: "", id: "" }) }, text("demonstrations.do.show")));
    const worse = told.groups.find((group) => group.worse);
    const items = [
      counts.mend ? say("mend", { count: number(counts.mend, 0), of: number(panel.bank.count, 0) }, "mend") : null,
      worse ? say("source", { count: number(worse.entries, 0), wrong: percent(worse.wrong), rest: percent(worse.rest_wrong), group: nameOf(worse) }) : null,
      counts.drop ? say("drop", { count: number(counts.drop, 0) }, "harmful") : null,
      counts.contradictory ? say("decide", { count: number(counts.contradictory, 0) }, "contradictory") : null,
      counts.collect ? say("collect", { regions: number(counts.collect, 0), questions: [...new Set(told.regions.filter((one) => one.lacking).flatMap((one) => one.questions))].slice(0, 2).map((one) => `“${one.slice(0, 120)}”`).join(", ") }) : null,
    ].filter(Boolean);
    const basis = told.judged_on === "test" ? "demonstrations.basis.test" : "demonstrations.basis";
    return element("section", { class: "advice" },
      element("h2", null, text("demonstrations.heading", { count: number(panel.bank.count, 0) })),
      items.length ? element("ul", null, items) : element("p", null, text("demonstrations.do.nothing")),
      element("p", { class: "quiet" }, text(basis, { prompts: number(told.prompts, 0) }), " ", told.labels_judged ? "" : text("demonstrations.not_judged")));
  };

  function nameOf(group) {
    return group.attribute === "look" ? text("demonstrations.group.look") : `${text(`demonstrations.group.${group.attribute}`)}: ${group.name.slice(0, 80)}`;
  }

  function table(heads, rows) {
    const cell = (tag, content, at) => element(tag, { class: at ? null : "text", scope: tag === "th" ? (at ? "col" : "row") : null }, content);
    return element("div", { class: "scroll" }, element("table", null,
      element("thead", null, element("tr", null, heads.map((head, at) => element("th", { scope: "col", class: at ? null : "text" }, head)))),
      element("tbody", null, rows.map(({ cells, strong, onclick }) => element("tr", { class: strong ? "strong" : null, onclick }, cells.map((one, at) => cell(at ? "td" : "th", one, at)))))));
  }

  /** Groups and regions, beside the list while no entry is open. */
  shared.overview = (panel) => {
    const { groups, regions } = panel.bank.told;
    const found = [];
    if (groups.length) {
      const rows = groups.slice(0, 40).map((group) => ({
        strong: group.worse,
        cells: [
          element("span", null, element("bdi", { dir: "auto" }, nameOf(group)), group.attribute === "look" && element("span", { class: "samples" }, group.examples.slice(0, 5).map((id) => element("a", { href: address(panel.run, "demonstrations", { ...panel.context.params, id }), title: String(id) }, shared.picture(panel.run, id, 1))))),
          number(group.entries, 0), percent(group.wrong), group.value ? shared.valueText(group.value) : "–",
        ],
      }));
      found.push(element("section", null, element("h3", null, text("demonstrations.groups")), element("p", { class: "quiet" }, text("demonstrations.groups.what")),
        table(["demonstrations.head.group", "demonstrations.head.entries", "demonstrations.head.wrong", "demonstrations.head.value"].map((key) => text(key)), rows)));
    }
    if (regions.length) {
      const row = (region) => ({
        strong: region.lacking,
        cells: [prose(region.questions[0], 120), number(region.queries, 0), `${number(region.accuracy, 0)} [${number(region.low, 0)}, ${number(region.high, 0)}]`, number(region.near, 1)],
      });
      const heads = ["asks", "queries", "score", "near"].map((key) => text(`demonstrations.head.${key}`));
      const first = regions.filter((one) => one.lacking).slice(0, 10);
      const rest = regions.filter((one) => !first.includes(one)).slice(0, 30);
      found.push(element("section", null, element("h3", null, text("demonstrations.regions")), element("p", { class: "quiet" }, text("demonstrations.regions.what")),
        first.length ? table(heads, first.map(row)) : null,
        rest.length ? element("details", null, element("summary", null, text("demonstrations.regions.rest", { count: rest.length })), table(heads, rest.map(row))) : null));
    }
    return found;
  };

  /** Open one entry beside the list. */
  shared.open = async (panel, id) => {
    const place = panel.side;
    place.replaceChildren(element("p", { class: "quiet", role: "status" }, text("demonstrations.loading_entry")));
    const { id: _, ...rest } = panel.context.params;
    const back = element("a", { class: "back", href: address(panel.run, "demonstrations", rest) }, text("demonstrations.back"));
    let told;
    try {
      told = await api(shared.path(panel.run, `/${encodeURIComponent(id)}`));
    } catch (error) {
      if (panel.context.params.id === id) place.replaceChildren(back, element("p", { class: "quiet" }, visible(error.message)));
      return;
    }
    if (panel.context.params.id !== id) return; // another one was opened meanwhile
    place.replaceChildren(back, ...entry(panel, told));
  };

  function entry(panel, told) {
    const flags = told.flags.map((flag) => element("span", { class: `chip ${{ useful: "good", mend: "bad", harmful: "bad" }[flag] ?? ""}` }, text(`demonstrations.flag.${flag}`)));
    const fact = (key, value) => [element("dt", null, text(key)), element("dd", null, value)];
    const total = told.shown_train + told.shown_val + told.shown_test;
    return [
      element("article", { class: "entry" },
        element("div", { class: "pictures" }, Array.from({ length: Math.min(told.pictures, 4) }, (_, place) => shotsmith.queries.picture(panel.run, "bank", told.id, place, "large"))),
        element("div", null,
          element("p", { class: "eyebrow" }, text("demonstrations.entry", { id: told.id })),
          element("h2", null, prose(told.question)),
          element("p", { class: "answer" }, prose(told.answer, 200), told.flags.includes("mend") && element("span", { class: "instead" }, " ", text("demonstrations.instead"), " ", element("b", null, prose(told.suggested, 120)))),
          element("div", { class: "chips" }, flags),
          element("dl", { class: "facts" },
            fact("demonstrations.fact.shown", text("demonstrations.fact.shown.how", { total: number(total, 0), train: number(told.shown_train, 0), val: number(told.shown_val, 0), test: number(told.shown_test, 0) })),
            fact("demonstrations.fact.value", [shared.valueBar({ ...told, adjusted: told.adjusted_p }, panel.bank.reach), shared.valueText(told), told.value_queries ? element("small", null, " ", text("demonstrations.fact.queries", { count: number(told.value_queries, 0) })) : ""]),
            told.labels_judged && fact("demonstrations.fact.wrong", [percent(told.wrong), evidence(told)]),
            told.copied_right + told.copied_wrong ? fact("demonstrations.fact.copied", text("demonstrations.fact.copied.how", { right: told.copied_right, wrong: told.copied_wrong })) : null,
            told.answers.length > 1 && fact("demonstrations.fact.answers", prose([...new Set(told.answers)].join(" · "), 200))))),
      near(panel, told),
      shownTo(panel, told),
    ].filter(Boolean);
  }

  /** Which evidence speaks for and against a label. */
  function evidence(told) {
    const say = (key, logit) => element("span", { class: `chip ${logit > 0.5 ? "bad" : logit < -0.5 ? "good" : ""}` }, text(`demonstrations.evidence.${key}`), " ", logit > 0.5 ? "−" : logit < -0.5 ? "+" : "0");
    return element("span", { class: "chips" }, say("similar_examples", told.evidence.similar_examples), say("copies", told.evidence.copies),
      element("span", { class: `chip ${told.evidence.look > 0.5 ? "bad" : ""}` }, text("demonstrations.evidence.look", { share: percent(told.evidence.look) })));
  }

  function near(panel, told) {
    if (!told.near.length) return null;
    return element("section", null, element("h3", null, text("demonstrations.near")),
      element("ul", { class: "near" }, told.near.slice(0, 24).map((one) => element("li", null,
        element("a", { href: address(panel.run, "demonstrations", { ...panel.context.params, id: one.id }) }, shared.picture(panel.run, one.id, 1), element("bdi", { dir: "auto" }, one.answer.slice(0, 80)))))));
  }

  function shownTo(panel, told) {
    if (!told.shown_to.length) return element("p", { class: "quiet" }, text("demonstrations.shown_to.nobody"));
    const rows = told.shown_to.map((one) => {
      const inner = [
        shared.picture(panel.run, one.query, one.pictures, "small", one.split),
        element("span", { class: "what" }, element("bdi", { class: "question", dir: "auto" }, one.question.slice(0, 300)),
          element("span", { class: "answers" }, element("bdi", { dir: "auto", class: one.text === told.answer ? "copied" : null }, (one.text ?? text("demonstrations.no_answer")).slice(0, 200)), " / ", element("bdi", { dir: "auto" }, one.answer.slice(0, 200)))),
        element("span", { class: "how" }, one.selector ? one.selector : text(`demonstrations.split.${one.split}`), element("small", null, text("demonstrations.shots", { shots: one.shots }))),
        element("span", { class: `score ${one.score === null ? "" : one.score > 0 ? "good" : "bad"}` }, signedScore(one.score)),
      ];
      return one.split === "test" ? element("a", { class: "use", href: address(panel.run, "queries", { id: one.query }) }, inner) : element("div", { class: "use" }, inner);
    });
    return element("section", { class: "shown-to" }, element("h3", null, text("demonstrations.shown_to")),
      element("p", { class: "quiet" }, text("demonstrations.shown_to.what", { shown: number(rows.length, 0), all: number(told.shown_to_all, 0) })), rows);
  }
})();
