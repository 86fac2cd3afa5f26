// The page works without this; here are the names of chosen files, progress, and a question.
// In a function, for after an upload the new page is written in place of the old one.
"use strict";

(() => {
  for (const form of document.querySelectorAll("form.upload")) {
    const input = form.querySelector(".drop input"); // the others have a script of their own
    if (!input) continue;
    const chosen = form.querySelector("[data-chosen]");
    const progress = form.querySelector("progress");
    const button = form.querySelector("button");

    input.addEventListener("change", () => {
      chosen.textContent = [...input.files].map((file) => file.name).join(", ");
    });
    for (const [event, over] of [["dragenter", true], ["dragleave", false], ["drop", false]]) {
      input.addEventListener(event, () => input.parentElement.classList.toggle("over", over));
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.upload.addEventListener("progress", (sent) => {
        progress.value = sent.loaded / sent.total;
      });
      request.upload.addEventListener("load", () => progress.removeAttribute("value")); // being stored
      request.addEventListener("load", () => {
        history.replaceState(null, "", request.responseURL);
        document.open();
        document.write(request.responseText);
        document.close();
      });
      request.addEventListener("error", () => {
        progress.hidden = true;
        button.disabled = false;
        chosen.textContent = "The server did not answer. Try again.";
      });
      progress.hidden = false;
      button.disabled = true;
      request.send(new FormData(form));
    });
  }

  for (const asking of document.querySelectorAll("[data-confirm]")) {
    asking.addEventListener("click", (event) => {
      if (!confirm(asking.dataset.confirm)) event.preventDefault();
    });
  }
})();
