// What a run has found so far: curves of all runs of the page, findings of the diagnosis, and the evaluation.
"use strict";

(() => {
  const { element, text, number, prose } = shotsmith;
  const parts = shotsmith.liveParts;
  const shownCurves = ["val_reward", "reward", "loss", "val_loss", "kl", "entropy", "frac_reward_zero_std"];
  const phases = ["supervised", "rce", "grpo"];

  const valueOf = (row, curve) => (curve === "loss" ? row.ppo_loss ?? row.train_loss : row[curve]);

  function phasesOf(all) {
    const rows = all.flatMap((one) => one.curves?.rows ?? []);
    return phases.filter((phase) => rows.some((row) => row.phase === phase));
  }

  /** The series of one run: one line a seed; of several seeds faint ones, and their mean where all have a value. */
  function seriesOf(one, at, phase, curve) {
    const rows = (one.curves?.rows ?? []).filter((row) => row.phase === phase && Number.isFinite(valueOf(row, curve)));
    const seeds = [...new Set(rows.map((row) => row.seed))];
    const bests = new Map((one.curves?.best ?? []).filter((best) => best.phase === phase).map((best) => [best.seed, best]));
    const lines = seeds.map((seed) => ({
      name: seeds.length > 1 ? `${one.run.name}, ${text("live.seed", { seed })}` : one.run.name,
      colour: at % 6,
      faint: seeds.length > 1,
      points: rows.filter((row) => row.seed === seed).map((row) => [row.epoch, valueOf(row, curve)]),
      best: curve === "val_reward" ? bests.get(seed)?.epoch : undefined,
    }));
    if (seeds.length < 2) return lines;
    const epochs = [...new Set(rows.map((row) => row.epoch))].filter((epoch) => rows.filter((row) => row.epoch === epoch).length === seeds.length);
    const mean = epochs.map((epoch) => [epoch, rows.filter((row) => row.epoch === epoch).reduce((sum, row) => sum + valueOf(row, curve), 0) / seeds.length]);
    return [...lines, { name: `${one.run.name}, ${text("live.mean")}`, colour: at % 6, points: mean }];
  }

  parts.curves = (state) => {
    const found = phasesOf(state.all);
    const own = phasesOf([state.own]);
    const phase = found.includes(state.choice.phase) ? state.choice.phase : own.at(-1) ?? found.at(-1);
    const hidden = state.choice.hidden ?? [];
    return {
      key: [phase, hidden, found, state.own.errors.curves, state.all.map((one) => one.curves)],
      nodes: () => {
        if (state.own.errors.curves) return [heading("live.curves"), problem(state.own.errors.curves)];
        if (!phase) return [];
        const shown = state.all.map((one, at) => [one, at]).filter(([one]) => !hidden.includes(one.run.name));
        const ordered = [...shown.filter(([one]) => one !== state.own), ...shown.filter(([one]) => one === state.own)];
        const last = Math.max(0, ...shown.map(([one]) => one.curves?.planned[phase] ?? 0));
        const charts = shownCurves.map((curve) => {
          const series = ordered.flatMap(([one, at]) => seriesOf(one, at, phase, curve)).filter((line) => line.points.length);
          if (!series.length) return null;
          return shotsmith.lineChart({ title: text(`live.curve.${curve}`), series, last, said: curve === "val_reward" ? bestOf(state.own, phase) : lastOf(state.own, phase, curve), xName: text("live.epoch") });
        });
        return [heading("live.curves"), choices(state, found, phase, hidden), element("div", { class: "curves" }, charts.filter(Boolean))].filter(Boolean);
      },
    };
  };

  function bestOf(one, phase) {
    const found = (one.curves?.best ?? []).filter((best) => best.phase === phase);
    if (!found.length) return "";
    const best = found.reduce((a, b) => (b.val_reward > a.val_reward ? b : a));
    const said = text("live.best", { value: number(best.val_reward, 3), epoch: best.epoch });
    return found.length > 1 ? `${said}, ${text("live.seed", { seed: best.seed })}` : said;
  }

  function lastOf(one, phase, curve) {
    const rows = (one.curves?.rows ?? []).filter((row) => row.phase === phase && Number.isFinite(valueOf(row, curve)));
    return rows.length ? text("live.last", { value: number(valueOf(rows.at(-1), curve), 3) }) : "";
  }

  /** Which phase is drawn, and which runs. */
  function choices(state, found, phase, hidden) {
    const radio = (value, label, checked, type, change, colour) => element("label", { class: colour }, element("input", { type, name: type === "radio" ? "phase" : `run-${value}`, "data-keep": `choice-${value}`, checked, onchange: change }), element("span", null, colour ? element("i", { class: "swatch" }) : null, label));
    const sets = [];
    if (found.length > 1) sets.push(element("fieldset", null, element("legend", null, text("live.phase")), found.map((one) => radio(one, text(`live.phase.${one}`), one === phase, "radio", () => { state.choice.phase = one; state.redraw(); }))));
    if (state.all.length > 1) sets.push(element("fieldset", null, element("legend", null, text("live.runs")), state.all.map((one, at) => radio(one.run.name, element("bdi", null, one.run.name), !hidden.includes(one.run.name), "checkbox", () => {
      state.choice.hidden = hidden.includes(one.run.name) ? hidden.filter((name) => name !== one.run.name) : [...hidden, one.run.name];
      state.redraw();
    }, `s${at % 6}`))));
    return sets.length ? element("div", { class: "choices" }, sets) : null;
  }

  const heading = (key) => element("h2", null, text(key));
  const problem = (message) => element("p", { class: "failure" }, prose(message));

  parts.findings = (state) => {
    const { findings, errors, live } = state.own;
    const begun = live.stages.some((stage) => stage.state !== "waiting");
    return {
      key: [findings, errors.findings, begun],
      nodes: () => {
        if (errors.findings) return [heading("live.findings"), problem(errors.findings)];
        if (!begun) return [];
        if (!findings) return [heading("live.findings"), element("p", { class: "quiet" }, text("live.findings.reading"))];
        const failed = findings.failed_prompts;
        const found = findings.findings.map(finding);
        if (failed) found.unshift(element("div", { class: "finding warning" }, element("h3", null, text("live.failed_prompts", { failed: number(failed.failed, 0), asked: number(failed.asked, 0) })), element("p", null, prose(failed.reason)), failed.advice ? element("p", { class: "quiet" }, prose(failed.advice)) : null));
        return [heading("live.findings"), ...(found.length ? found : [element("p", { class: "quiet" }, text("live.findings.none"))])];
      },
    };
  };

  function finding(one) {
    const name = `finding-${one.key}`;
    return element("div", { class: `finding ${one.severity}` },
      element("h3", null, one.title, " ", element("span", { class: "chip" }, text(`live.severity.${one.severity}`))),
      element("p", null, prose(one.evidence, 1000)),
      element("details", { data: { name } }, element("summary", { "data-keep": name }, text("live.findings.more")),
        element("p", null, one.meaning), element("p", null, one.advice),
        one.overrides.length ? element("pre", null, element("code", null, one.overrides.map((override) => `--set ${override}`).join("\n"))) : null));
  }

  const colours = { trained: 0, best_free: 1, policy: 2, bound: 3, vote: 5, free: 5 };

  parts.outcome = (state) => {
    const { outcome, errors } = state.own;
    return {
      key: [outcome, errors.outcome],
      nodes: () => {
        if (errors.outcome) return [heading("live.outcome"), problem(errors.outcome)];
        if (!outcome?.selectors.length) return [];
        const mean = outcome.shots.indexOf("mean");
        const bars = outcome.selectors.filter((one) => one.cells[mean]);
        const highest = Math.max(100, ...bars.map((one) => one.cells[mean].high));
        return [
          heading("live.outcome"),
          element("p", { class: "quiet" }, text("live.outcome.intro", { metric: outcome.metric, confidence: number(100 * outcome.confidence, 0) })),
          element("ul", { class: "bars" }, bars.map((one) => bar(one, one.cells[mean], highest))),
          element("details", { data: { name: "shots" } }, element("summary", { "data-keep": "shots" }, text("live.outcome.by_shots")), byShots(outcome)),
          outcome.report ? element("p", { class: "quiet" }, text("live.outcome.report"), " ", element("code", null, outcome.report)) : null,
        ].filter(Boolean);
      },
    };
  };

  function bar(one, cell, highest) {
    const at = (value) => `${((100 * value) / highest).toFixed(2)}%`;
    return element("li", { class: `s${colours[one.kind]} ${one.kind}` },
      element("span", { class: "name" }, one.title),
      element("span", { class: "track", "aria-hidden": "true" },
        element("i", { class: "interval", style: { left: at(cell.low), width: at(cell.high - cell.low) } }),
        element("i", { class: "dot", style: { left: at(cell.accuracy) } })),
      element("span", { class: "figure" }, number(cell.accuracy, 1), " ", element("small", null, `${number(cell.low, 1)} – ${number(cell.high, 1)}`)));
  }

  function byShots(outcome) {
    const name = (shots) => (shots === "mean" ? text("live.mean") : text("live.shots", { shots }));
    return element("div", { class: "scroll" }, element("table", null,
      element("thead", null, element("tr", null, element("th", { class: "text" }), outcome.shots.map((shots) => element("th", { scope: "col" }, name(shots))))),
      element("tbody", null, outcome.selectors.map((one) => element("tr", { class: one.kind === "trained" ? "strong" : null },
        element("th", { class: "text", scope: "row" }, one.title),
        one.cells.map((cell) => element("td", null, cell ? number(cell.accuracy, 1) : "–")))))));
  }
})();
