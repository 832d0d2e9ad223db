// The gallery's filter. Without this script every row is simply there.
const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll("[data-change]")];
  const count = document.getElementById("visible");
  const apply = () => {
    const wanted = filter.querySelector("input:checked").value;
    for (const row of rows) row.hidden = wanted !== "all" && row.dataset.change !== wanted;
    count.textContent = count.dataset.text.replace("{count}", rows.filter((row) => !row.hidden).length);
  };
  filter.hidden = false;
  filter.addEventListener("change", apply);
  apply();
}

// Charts: the value nearest to the pointer, or chosen with the arrow keys, is told under the chart's name.
for (const chart of document.querySelectorAll("svg.chart")) {
  const marks = [...chart.querySelectorAll(".mark, .bar")];
  const caption = chart.closest("figure")?.querySelector("figcaption");
  if (!marks.length || !caption) continue;
  const readout = caption.querySelector("output") ?? caption.appendChild(document.createElement("output"));
  const centre = (mark) => {
    const box = mark.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  let chosen = -1;
  const choose = (place) => {
    marks[chosen]?.classList.remove("chosen");
    chosen = place;
    marks[chosen]?.classList.add("chosen");
    readout.textContent = marks[chosen]?.querySelector("title").textContent ?? "";
  };
  chart.tabIndex = 0;
  chart.addEventListener("pointermove", (event) => {
    let best = -1, least = 1600;
    marks.forEach((mark, place) => {
      const [x, y] = centre(mark);
      const distance = (x - event.clientX) ** 2 + (y - event.clientY) ** 2;
      if (distance < least) [best, least] = [place, distance];
    });
    choose(best);
  });
  chart.addEventListener("pointerleave", () => choose(-1));
  chart.addEventListener("blur", () => choose(-1));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(marks.length - 1, chosen + step)));
  });
}
for (const hint of document.querySelectorAll(".hint")) hint.hidden = false;
