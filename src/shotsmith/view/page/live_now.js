// What a run does now: its state and the button that stops it, its task, and its stages.
"use strict";

(() => {
  const { element, text, number, prose } = shotsmith;
  const parts = shotsmith.liveParts;

  /** 3 s, 2 min 5 s, 1 h 2 min. */
  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 0.95) return text("live.time.s", { s: seconds < 0.05 ? `< ${number(0.1, 1)}` : number(seconds, 1) });
    const whole = Math.round(seconds);
    if (whole < 60) return text("live.time.s", { s: whole });
    if (whole < 3600) return text("live.time.m", { m: Math.floor(whole / 60), s: whole % 60 });
    return text("live.time.h", { h: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
  }

  /** Units a second, or seconds a unit where that reads better. */
  function rate(speed, unit) {
    if (speed === null || speed === undefined) return null;
    return speed >= 1 ? text("live.per_second", { rate: number(speed, 1), unit }) : text("live.seconds_per", { rate: number(1 / speed, 1), unit });
  }

  const unitOf = (unit, many) => {
    const key = `live.unit.${unit}${many ? "s" : ""}`;
    const said = text(key);
    return said === key ? (unit === "it" ? "" : unit) : said;
  };

  /** How a run has ended, for the chip beside its name: running, done, failed, killed, stopped, created. */
  function stateOf(live) {
    if (live.status !== "stopped") return live.status === "running" && live.process?.silent ? "silent" : live.status;
    return { failed: "failed", killed: "killed", finished: "paused" }[live.stopped?.how] ?? "stopped";
  }
  shotsmith.runState = stateOf;

  async function stop(state) {
    const { run, live } = state.own;
    const answer = await shotsmith.dialog(text("live.stop.title"), [element("p", null, text("live.stop.ask", { pid: live.process.pid, run: run.title }))],
      [["", text("shell.cancel")], ["stop", text("live.stop.button"), "danger"]]);
    if (answer !== "stop") return;
    try {
      await shotsmith.api(`runs/${encodeURIComponent(run.name)}/live/stop`, {});
      state.stopping = true;
      state.redraw();
    } catch (error) {
      await shotsmith.dialog(text("live.stop.failed"), [element("p", null, prose(error.message))]);
    }
  }

  function stopButton(state) {
    const { process } = state.own.live;
    if (!shotsmith.live || !process) return null;
    if (state.stopping) return element("span", { class: "quiet", role: "status" }, text("live.stop.waiting"));
    const button = element("button", { type: "button", class: "danger stop", "data-keep": "stop", disabled: Boolean(process.obstacle), onclick: () => stop(state) }, text("live.stop.button"));
    if (!process.obstacle) return button;
    return [button, element("span", { class: "quiet" }, text(`live.stop.${process.obstacle}`, process))];
  }

  /** The reason why a run stands still, and the command that goes on with it. */
  function why(live, run) {
    const command = element("pre", null, element("code", null, `shotsmith run ${quoted(run.folder)}`));
    if (live.status === "created") return [element("p", null, text("live.why.created")), command];
    if (live.status !== "stopped") return [];
    const { how, error, after } = live.stopped;
    const place = after === null ? text("live.why.first") : text("live.why.after", { stage: text(`live.stage.${after}`) });
    return [
      element("p", { class: how === "failed" ? "failure" : null }, text(`live.why.${how ?? "unknown"}`, { place })),
      error ? element("blockquote", { class: "error" }, prose(error, 1200)) : null,
      element("p", { class: "quiet" }, text("live.why.go_on")),
      command,
    ].filter(Boolean);
  }

  const quoted = (path) => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\"'\"'")}'`);

  parts.head = (state) => {
    const { run, live, outcome } = state.own;
    const how = stateOf(live);
    const others = state.all.filter((one) => one.live).map((one) => [one.run.name, stateOf(one.live)]);
    return {
      key: [how, live.process, live.stopped, outcome?.verdict, state.stopping, others],
      nodes: () => [
        state.all.length > 1 ? runList(state) : null,
        element("div", { class: "title" },
          element("h1", null, element("bdi", null, run.title)),
          element("span", { class: `state ${how}`, role: "status" }, text(`live.state.${how}`)),
          element("span", { class: "action" }, stopButton(state))),
        element("p", { class: "quiet folder" }, element("bdi", null, run.folder), live.process ? ` · ${text("live.process", live.process)}` : null),
        outcome?.selectors.length ? element("p", { class: "verdict" }, outcome.verdict) : null,
        ...why(live, run),
      ].filter(Boolean),
    };
  };

  function runList(state) {
    return element("nav", { class: "runs", "aria-label": text("live.runs") }, state.all.map((one, at) => {
      const how = one.live ? stateOf(one.live) : "created";
      return element("a", { href: shotsmith.address(one.run.name, "live"), class: `s${at % 6}`, "aria-current": one === state.own ? "true" : null },
        element("i", { class: "swatch" }), element("bdi", null, one.run.name), " ", element("small", null, text(`live.state.${how}`)));
    }));
  }

  parts.now = (state) => {
    const { now, process } = state.own.live;
    if (!now) return { key: [state.own.live.status], nodes: () => (state.own.live.status === "running" ? [element("p", { class: "quiet" }, text(process ? "live.now.starting" : "live.now.elsewhere"))] : []) };
    return { key: now, nodes: () => [element("h2", null, text("live.now"), " ", element("em", null, text(`live.stage.${now.stage}`))), tiles(now), ...now.tasks.map(task)] };
  };

  function tiles(now) {
    const shown = [["live.tile.elapsed", duration(now.seconds)]];
    if (now.seconds_left !== null) shown.push(["live.tile.left", duration(now.seconds_left)]);
    if (now.vlm_calls || now.store_hits || now.prompts_per_second !== null) {
      shown.push(["live.tile.calls", number(now.vlm_calls, 0)], ["live.tile.hits", number(now.store_hits, 0)]);
      shown.push(["live.tile.speed", number(now.prompts_per_second, now.prompts_per_second >= 100 ? 0 : 1)]);
    }
    return element("dl", { class: "tiles" }, shown.map(([key, value]) => element("div", null, element("dt", null, text(key)), element("dd", { class: "value" }, value))));
  }

  function task({ label, unit, done, total, rate: speed, seconds_left: left }) {
    const share = total ? Math.min(1, done / total) : 0;
    const told = [`${number(done, 0)} / ${number(total, 0)} ${unitOf(unit, true)}`, rate(speed, unitOf(unit, false) || "1"), left === null || left < 1 || done >= total ? null : text("live.left", { time: duration(left) })];
    return element("div", { class: "task" },
      element("p", null, element("bdi", { class: "label" }, label), " ", element("span", { class: "quiet" }, told.filter(Boolean).join(" · "))),
      element("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": total, "aria-valuenow": done },
        element("i", { style: { width: `${(100 * share).toFixed(2)}%` } })));
  }

  parts.stages = (state) => {
    const { stages, now } = state.own.live;
    return {
      key: [stages, now && [now.stage, Math.round(now.seconds)]],
      nodes: () => [
        element("h2", null, text("live.stages")),
        element("ol", { class: "stages" }, stages.map((stage) => {
          const running = stage.state === "running";
          const seconds = running ? now?.seconds : stage.state === "done" ? stage.seconds : null;
          const calls = running ? now : { vlm_calls: stage.vlm_calls, store_hits: stage.cache_hits };
          const figures = [
            seconds === null || seconds === undefined ? null : duration(seconds),
            calls?.vlm_calls ? text("live.calls", { count: number(calls.vlm_calls, 0) }) : null,
            calls?.store_hits ? text("live.hits", { count: number(calls.store_hits, 0) }) : null,
          ].filter(Boolean);
          return element("li", { class: stage.state, "aria-current": running ? "step" : null },
            element("b", null, text(`live.stage.${stage.name}`)),
            element("span", { class: "how" }, text(`live.stage_state.${stage.state}`)),
            element("span", { class: "quiet" }, figures.map((one) => element("span", null, one))));
        })),
      ],
    };
  };
})();
