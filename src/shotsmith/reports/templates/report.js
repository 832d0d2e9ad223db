// The gallery's filter. Without this script every row is simply there.
const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll("[data-change]")];
  const count = document.getElementById("visible");
  const more = document.getElementById("more");
  const apply = () => {
    const wanted = filter.querySelector("input:checked").value;
    if (more && wanted !== "all") more.open = true;
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

// Commands: copied by a button, also where a page opened from a file may not use the clipboard.
const selectAndCopy = (code) => {
  const range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand("copy");
};
for (const button of document.querySelectorAll("button.copy")) {
  const code = button.parentElement.querySelector("code");
  const name = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      copied = selectAndCopy(code);
    }
    if (!copied) return;
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = name), 2000);
  });
}

// Tables wider than the screen say so.
const tellSideways = () => {
  for (const box of document.querySelectorAll(".scroll")) {
    box.nextElementSibling.hidden = box.scrollWidth <= box.clientWidth + 1;
  }
};
addEventListener("resize", tellSideways);
document.addEventListener("toggle", tellSideways, true);
tellSideways();

// A link to a folded section unfolds it; so does printing.
const unfold = (section) => section?.querySelector("details.fold")?.setAttribute("open", "");
const unfoldTarget = () => location.hash && unfold(document.getElementById(location.hash.slice(1)));
addEventListener("hashchange", unfoldTarget);
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => unfold(document.getElementById(link.hash.slice(1))));
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((box) => (box.open = true)));
unfoldTarget();
