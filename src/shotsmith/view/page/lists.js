// Long lists: only the rows that are seen are in the document.
"use strict";

(() => {
  const { element } = shotsmith;
  const beyond = 6; // rows drawn above and below what is seen

  /**
   * Fill `container` with `count` rows of `rowHeight` pixels each, drawn by drawRow(index) -> element.
   * Returns {refresh(count), scrollTo(index), focus(index)}.
   */
  shotsmith.virtualList = (container, count, rowHeight, drawRow) => {
    const spacer = element("div", { class: "spacer" });
    container.classList.add("virtual");
    container.dataset.list = "";
    container.setAttribute("role", "list");
    container.replaceChildren(spacer);
    let drawn = new Map();

    function place() {
      const first = Math.max(0, Math.floor(container.scrollTop / rowHeight) - beyond);
      const last = Math.min(count, Math.ceil((container.scrollTop + container.clientHeight) / rowHeight) + beyond);
      for (const [index, row] of drawn) {
        if ((index < first || index >= last) && !row.contains(document.activeElement)) {
          row.remove();
          drawn.delete(index);
        }
      }
      for (let index = first; index < last; index += 1) {
        if (drawn.has(index)) continue;
        const row = drawRow(index);
        row.dataset.row = index;
        row.setAttribute("role", "listitem");
        row.setAttribute("aria-setsize", count);
        row.setAttribute("aria-posinset", index + 1);
        if (row.tabIndex < 0) row.tabIndex = 0;
        row.style.top = `${index * rowHeight}px`;
        row.style.height = `${rowHeight}px`;
        drawn.set(index, row);
        const after = [...drawn.keys()].filter((one) => one > index);
        spacer.insertBefore(row, after.length ? drawn.get(Math.min(...after)) : null);
      }
    }

    function refresh(now = count) {
      count = now;
      spacer.style.height = `${count * rowHeight}px`;
      spacer.replaceChildren();
      drawn = new Map();
      place();
    }

    function scrollTo(index) {
      const top = index * rowHeight;
      if (top < container.scrollTop) container.scrollTop = top;
      else if (top + rowHeight > container.scrollTop + container.clientHeight) container.scrollTop = top + rowHeight - container.clientHeight;
      place();
    }

    function focus(index) {
      if (!count) return;
      const within = Math.max(0, Math.min(count - 1, index));
      scrollTo(within);
      drawn.get(within)?.focus({ preventScroll: true });
    }

    container.addEventListener("scroll", place, { passive: true });
    container.addEventListener("shotsmith:move", (event) => {
      event.preventDefault();
      const focused = document.activeElement?.closest?.("[data-row]");
      const inside = focused && container.contains(focused);
      focus(inside ? Number(focused.dataset.row) + event.detail.step : Math.ceil(container.scrollTop / rowHeight));
    });
    new ResizeObserver(place).observe(container);
    refresh(count);
    return { refresh, scrollTo, focus };
  };
})();
