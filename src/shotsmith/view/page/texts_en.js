// English. Each panel's keys begin with its name.
"use strict";

shotsmith.texts("en", {
  "shell.run": "Run",
  "shell.panels": "Panels",
  "shell.dark": "Dark",
  "shell.light": "Light",
  "shell.help": "Keys",
  "shell.close": "Close",
  "shell.cancel": "Cancel",
  "shell.all": "show all ({count} characters)",
  "shell.less": "show less",
  "shell.away": "The server does not answer. Trying again …",
  "shell.not_kept": "This is not part of the saved page.",
  "shell.key.panels": "open a panel",
  "shell.key.search": "search",
  "shell.key.rows": "next and previous row",
  "shell.key.open": "open the row",
  "shell.key.back": "back",
  "shell.key.help": "this list",
  "live.title": "Progress",
});
