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
