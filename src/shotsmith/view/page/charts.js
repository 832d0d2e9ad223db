// Line charts as SVG: small, read by pointer or arrow keys.
"use strict";

(() => {
  const { element, svg, number } = shotsmith;
  const size = { width: 340, height: 196, left: 46, gap: 8, right: 12, top: 10, bottom: 24 };

  /** About `count` round numbers that span low to high. */
  function ticks(low, high, count) {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
    return { found, step };
  }

  function range(values) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    // Values that differ by rounding only are equal: ticks between them would have no end.
    const size = Math.max(Math.abs(low), Math.abs(high));
    const room = high - low > size * 1e-9 ? (high - low) * 0.08 : size * 0.1 || 1;
    return [low - room, high + room];
  }

  /** Digits after the point that tell ticks of this step apart. */
  const digitsOf = (step) => Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));

  /**
   * A figure with one chart. `series`: [{name, colour: 0-5, points: [[x, y], ...], faint, best: x or undefined}];
   * `last`: the end of the x axis; `said`: the text beside the title while no point is chosen.
   */
  shotsmith.lineChart = ({ title, series, last, said = "", xName }) => {
    const all = series.flatMap((one) => one.points);
    const [low, high] = range(all.map(([, y]) => y));
    const firstX = Math.min(0, ...all.map(([x]) => x));
    const lastX = Math.max(last, firstX + 1, ...all.map(([x]) => x));
    const x = (value) => size.left + size.gap + ((value - firstX) / (lastX - firstX)) * (size.width - size.left - size.gap - size.right);
    const y = (value) => size.height - size.bottom - ((value - low) / (high - low)) * (size.height - size.top - size.bottom);
    const across = ticks(low, high, 4);
    const along = ticks(firstX, lastX, 6);
    const output = element("output", null, said);
    const chart = svg("svg", { class: "chart", viewBox: `0 0 ${size.width} ${size.height}`, role: "img", tabindex: "0", "data-own-arrows": true, "data-keep": title, "aria-label": `${title}. ${said}` });
    for (const tick of across.found) {
      chart.append(svg("line", { class: "grid", x1: size.left, x2: size.width - size.right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: size.left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick, digitsOf(across.step))));
    }
    for (const tick of along.found.filter(Number.isInteger)) chart.append(svg("text", { x: x(tick), y: size.height - 6, "text-anchor": "middle" }, String(tick)));
    const marks = [];
    for (const one of series) {
      const group = svg("g", { class: `s${one.colour}${one.faint ? " faint" : ""}` });
      const path = one.points.map(([px, py], at) => `${at ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
      group.append(svg("path", { class: "line", d: path }));
      for (const [px, py] of one.points) {
        const isBest = one.best === px;
        if (isBest) group.append(svg("circle", { class: "ring", cx: x(px), cy: y(py), r: 6.5 }));
        const alone = one.points.length === 1 || isBest;
        const mark = svg("circle", { class: "mark", cx: x(px), cy: y(py), r: alone ? 3.2 : one.faint || one.points.length > 24 ? 0 : 2.4 });
        if (!one.faint) marks.push({ mark, px, py, name: one.name });
        group.append(mark);
      }
      chart.append(group);
    }
    readable(chart, marks, output, said, xName, digitsOf(across.step) + 2);
    return element("figure", null, element("figcaption", null, title, output), chart);
  };

  /** Tell the point nearest to the pointer, or chosen with the arrow keys, beside the title. */
  function readable(chart, marks, output, said, xName, digits) {
    let chosen = -1;
    marks.sort((a, b) => a.px - b.px);
    const choose = (place) => {
      marks[chosen]?.mark.classList.remove("chosen");
      chosen = place;
      const found = marks[chosen];
      found?.mark.classList.add("chosen");
      output.textContent = found ? shotsmith.visible([found.name, `${xName} ${found.px}`, number(found.py, digits)].filter(Boolean).join(" · ")) : said;
    };
    chart.addEventListener("pointermove", (event) => {
      let best = -1;
      let least = 1600;
      marks.forEach(({ mark }, place) => {
        const box = mark.getBoundingClientRect();
        const distance = (box.x + box.width / 2 - event.clientX) ** 2 + (box.y + box.height / 2 - event.clientY) ** 2;
        if (distance < least) [best, least] = [place, distance];
      });
      choose(best);
    });
    chart.addEventListener("pointerleave", () => choose(-1));
    chart.addEventListener("blur", () => choose(-1));
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined || !marks.length) return;
      event.preventDefault();
      choose(Math.max(0, Math.min(marks.length - 1, chosen + step)));
    });
  }
})();
