// The keyboard: 1 to 9 panels, / search, j and k or arrows rows, Enter opens, Escape back, ? this list.
"use strict";

(() => {
  const { element, text } = shotsmith;
  const rows = () => [...document.querySelectorAll("#panel [data-row]")].filter((row) => row.offsetParent);

  /** Move the focus to the next or the previous row; lists that draw only what is seen listen to `shotsmith:move`. */
  function move(step) {
    const focused = document.activeElement?.closest?.("[data-row]");
    const place = focused ?? document.querySelector("#panel [data-list]") ?? document.getElementById("panel");
    const event = new CustomEvent("shotsmith:move", { bubbles: true, cancelable: true, detail: { step } });
    if (!place.dispatchEvent(event)) return;
    const all = rows();
    const at = all.indexOf(focused);
    const next = all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function back() {
    const { run, panel, params } = shotsmith.current();
    const { id, ...rest } = params;
    if (id !== undefined) location.hash = shotsmith.address(run.name, panel.id, rest);
  }

  function openPanel(number) {
    const { run } = shotsmith.current();
    const panel = shotsmith.panels()[number - 1];
    if (run && panel) location.hash = shotsmith.address(run.name, panel.id);
    return Boolean(panel);
  }

  function search() {
    const field = document.querySelector("#panel [data-search]");
    field?.focus();
    field?.select?.();
    return Boolean(field);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    const writing = target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select");
    if (event.key === "Escape") {
      if (writing) target.blur();
      else back();
      return;
    }
    if (writing || event.defaultPrevented) return;
    const arrows = !target.closest?.("[data-own-arrows], [role=slider], [role=radiogroup], input");
    let taken = true;
    if (/^[1-9]$/.test(event.key)) taken = openPanel(Number(event.key));
    else if (event.key === "/") taken = search();
    else if (event.key === "?") shotsmith.help();
    else if (event.key === "j" || (event.key === "ArrowDown" && arrows && rows().length)) move(1);
    else if (event.key === "k" || (event.key === "ArrowUp" && arrows && rows().length)) move(-1);
    else if (event.key === "Enter" && target.matches?.("[data-row]:not(a, button)")) target.click();
    else taken = false;
    if (taken) event.preventDefault();
  });

  /** Show the keys. */
  shotsmith.help = () => {
    const keys = [
      ["1 – " + shotsmith.panels().length, "shell.key.panels"],
      ["/", "shell.key.search"],
      ["j k ↓ ↑", "shell.key.rows"],
      ["Enter", "shell.key.open"],
      ["Esc", "shell.key.back"],
      ["?", "shell.key.help"],
    ];
    shotsmith.dialog(text("shell.help"), [
      element("dl", { class: "keys" }, keys.map(([key, say]) => [element("dt", null, key.split(" ").map((one) => (one === "–" ? " – " : element("kbd", null, one)))), element("dd", null, text(say))])),
    ]);
  };

  /** A dialog over the page, closed by Escape; resolves to the value of the button pressed, "" where it was closed. */
  shotsmith.dialog = (title, content, buttons = [["", text("shell.close")]]) =>
    new Promise((resolve) => {
      const dialog = element(
        "dialog",
        { "aria-labelledby": "dialog-title" },
        element("form", { method: "dialog" }, element("h2", { id: "dialog-title" }, title), content,
          element("p", { class: "buttons" }, buttons.map(([value, label, kind]) => element("button", { value, class: kind }, label)))),
      );
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue);
      });
      document.body.append(dialog);
      dialog.showModal();
    });
})();
