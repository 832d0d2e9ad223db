// The panel on which a run is watched.
"use strict";

(() => {
  const { element, api } = shotsmith;

  shotsmith.panel("live", {
    title: "live.title",
    show(root, { run }) {
      api(`runs/${encodeURIComponent(run.name)}/live`).then((told) => root.append(element("p", null, told.status)));
    },
  });
})();
