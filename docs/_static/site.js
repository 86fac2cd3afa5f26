// What scrolls sideways can be scrolled with the keyboard.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("article pre, article .table-wrapper").forEach((box) => {
    box.tabIndex = 0;
  });
});
