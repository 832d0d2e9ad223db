// The map of a bank: entries and queries on a plane, queries coloured by their score. Drawn on a canvas: there are many.
"use strict";

(() => {
  const { address, element, number, text } = shotsmith;
  const shared = shotsmith.demonstrations;
  const cells = 48; // of the grid in which the point under the pointer is looked for
  const near = 14; // pixels within which a point is hit
  const margin = 12;

  /** The colour that a CSS expression gives here, as [r, g, b]. */
  function colour(place, expression) {
    const probe = element("span", { style: { color: expression } });
    place.append(probe);
    const found = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    probe.remove();
    return getComputedStyle(document.documentElement).color.startsWith("color(") ? found.map((one) => one * 255) : found;
  }

  const css = ([r, g, b], opacity = 1) => `rgb(${r} ${g} ${b} / ${opacity})`;
  const mix = (a, b, share) => a.map((one, at) => Math.round(one + (b[at] - one) * share));

  shared.bankMap = (panel) => {
    const { map, columns, lists } = panel.bank.told;
    if (!map) return null;
    const { queries } = map;
    const best = Math.max(1, ...queries.score);
    const canvas = element("canvas", { class: "map", role: "img", "aria-label": text("demonstrations.map.label", { entries: number(columns.id.length, 0), queries: number(queries.id.length, 0) }) });
    const tip = element("p", { class: "tip", hidden: true });
    const shown = { entries: true, queries: true };
    const box = (name) => element("label", null, element("input", { type: "checkbox", checked: true, onchange: (event) => { shown[name] = event.target.checked; draw(); } }), element("span", null, text(`demonstrations.map.${name}`)));
    const node = element("section", { class: "mapped" }, element("h3", null, text("demonstrations.map")), element("p", { class: "quiet" }, text("demonstrations.map.what")),
      element("div", { class: "frame" }, canvas, tip),
      element("div", { class: "legend" }, element("fieldset", null, element("legend", { class: "hidden-legend" }, text("demonstrations.map")), box("entries"), box("queries")),
        element("span", { class: "scale" }, "0", element("i"), number(best, 0)), lists.mend.length ? element("span", { class: "key" }, element("i"), text("demonstrations.map.wrong")) : null));

    const wrong = new Set(lists.mend);
    let size = { width: 0, height: 0 };
    let grid = new Map();
    let hovered = null;

    const x = (value) => margin + ((value + 1) / 2) * (size.width - 2 * margin);
    const y = (value) => margin + ((1 - value) / 2) * (size.height - 2 * margin);
    const bounds = extent([...map.entries, ...queries.place]);
    /** Places are spread over the whole frame. */
    const placed = (places, at) => [x(spread(places[2 * at], bounds[0])), y(spread(places[2 * at + 1], bounds[1]))];

    function draw() {
      const frame = canvas.parentElement;
      const width = frame.clientWidth;
      if (!width) return;
      const height = Math.round(Math.min(width * 0.72, 460));
      const scale = devicePixelRatio || 1;
      size = { width, height };
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
      const pen = canvas.getContext("2d");
      pen.scale(scale, scale);
      grid = new Map();
      const [bad, middle, good, soft] = ["var(--bad)", "var(--line)", "var(--good)", "var(--soft)"].map((one) => colour(frame, one));
      if (shown.entries) {
        const count = columns.id.length;
        const side = count > 8000 ? 1.5 : 2.5;
        for (const doubtful of [false, true]) {
          pen.fillStyle = css(doubtful ? bad : soft, doubtful ? 0.55 : 0.3);
          for (let row = 0; row < count; row += 1) {
            if (wrong.has(row) !== doubtful) continue;
            const [left, top] = placed(map.entries, row);
            pen.fillRect(left - side / 2, top - side / 2, side, side);
            remember({ kind: "entry", row, left, top });
          }
        }
      }
      if (shown.queries) {
        const radius = queries.id.length > 1500 ? 2.4 : 3.2;
        pen.lineWidth = 0.8;
        pen.strokeStyle = css(colour(frame, "var(--paper)"));
        for (let at = 0; at < queries.id.length; at += 1) {
          const [left, top] = placed(queries.place, at);
          const share = queries.score[at] / best;
          pen.fillStyle = css(share < 0.5 ? mix(bad, middle, share * 2) : mix(middle, good, share * 2 - 1), 0.9);
          pen.beginPath();
          pen.arc(left, top, radius, 0, 2 * Math.PI);
          pen.fill();
          pen.stroke();
          remember({ kind: "query", row: at, left, top });
        }
      }
    }

    const cellOf = (left, top) => `${Math.floor((left / size.width) * cells)} ${Math.floor((top / size.height) * cells)}`;

    function remember(point) {
      const cell = cellOf(point.left, point.top);
      if (!grid.has(cell)) grid.set(cell, []);
      grid.get(cell).push(point);
    }

    /** The point nearest to a place, queries before entries. */
    function at(left, top) {
      const step = Math.ceil((near * cells) / Math.min(size.width, size.height));
      const column = Math.floor((left / size.width) * cells);
      const line = Math.floor((top / size.height) * cells);
      let found = null;
      let closest = near * near;
      for (let dx = -step; dx <= step; dx += 1)
        for (let dy = -step; dy <= step; dy += 1)
          for (const point of grid.get(`${column + dx} ${line + dy}`) ?? []) {
            const distance = (point.left - left) ** 2 + (point.top - top) ** 2 - (point.kind === "query" ? 9 : 0);
            if (distance < closest) [found, closest] = [point, distance];
          }
      return found;
    }

    function say(point) {
      if (point.kind === "entry") {
        const { bank } = panel;
        return [bank.text("question", point.row), bank.text("answer", point.row), text("demonstrations.map.entry", { shown: number(bank.shown[point.row], 0) })];
      }
      return [queries.texts[queries.question[point.row]], queries.texts[queries.answer[point.row]], text("demonstrations.map.query", { split: text(`demonstrations.split.${queries.split[point.row]}`), score: number(queries.score[point.row], 0) })];
    }

    canvas.addEventListener("pointermove", (event) => {
      hovered = at(event.offsetX, event.offsetY);
      canvas.classList.toggle("hit", hovered !== null && targetOf(hovered) !== null);
      tip.hidden = hovered === null;
      if (!hovered) return;
      const [question, answer, about] = say(hovered);
      tip.replaceChildren(element("bdi", { dir: "auto" }, question.slice(0, 160)), element("b", null, element("bdi", { dir: "auto" }, answer.slice(0, 80))), element("small", null, about));
      tip.style.left = `${Math.min(hovered.left + 12, Math.max(0, size.width - 240))}px`;
      tip.style.top = `${hovered.top + 14}px`;
    });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    canvas.addEventListener("click", (event) => {
      const target = at(event.offsetX, event.offsetY);
      const href = target && targetOf(target);
      if (href) location.hash = href;
    });

    function targetOf(point) {
      if (point.kind === "entry") return address(panel.run, "demonstrations", { ...panel.context.params, id: columns.id[point.row] });
      return queries.split[point.row] === "test" ? address(panel.run, "queries", { id: queries.id[point.row] }) : null;
    }

    const sized = new ResizeObserver(draw);
    const themed = new MutationObserver(draw);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    sized.observe(node);
    themed.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    dark.addEventListener("change", draw);
    return {
      node,
      draw,
      leave() {
        sized.disconnect();
        themed.disconnect();
        dark.removeEventListener("change", draw);
      },
    };
  };

  /** The lowest and highest x and y of flat places. */
  function extent(places) {
    const found = [[Infinity, -Infinity], [Infinity, -Infinity]];
    for (let at = 0; at < places.length; at += 1) {
      const side = found[at % 2];
      if (places[at] < side[0]) side[0] = places[at];
      if (places[at] > side[1]) side[1] = places[at];
    }
    return found;
  }

  const spread = (value, [low, high]) => (high > low ? (2 * (value - low)) / (high - low) - 1 : 0);
})();
