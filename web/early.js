/* Before the first paint, so that the page never flashes in the other colours. */
"use strict";
(function () {
  try {
    const chosen = localStorage.getItem("convproxy.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (refused) {
    /* Storage may be forbidden; the system's colours are used then. */
  }
})();
