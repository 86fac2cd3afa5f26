// <stored-object-input>: drag and drop, sorting, checks, and direct uploads with progress.
// Without this script its file input works too. It sends no form: see held-submits.js.
import { holdSubmits } from "./held-submits.js";
import { fillCard, shownName } from "./new-card.js";
import { NewFile } from "./new-file.js";

const TAG = "stored-object-input";
const LONGEST_NAME = 255;

const language = () => document.documentElement.lang || undefined;

/** One input: its cards, the chosen files, its error messages. */
class StoredObjectInput extends HTMLElement {
  #frozen = false;
  #followed = new AbortController();

  connectedCallback() {
    // the admin copies the empty row: leave it unchanged
    if (!this.querySelector("[data-input]") || this.closest(".empty-form")) return;
    this.#follow();
    if (this.input) return; // it was moved
    this.cards = this.querySelector("[data-cards]");
    this.input = this.querySelector("[data-input]");
    this.multiple = this.hasAttribute("data-multiple");
    this.files = new Map(); // new card -> NewFile
    // a copy of a live input has its cards, but not its files
    for (const copied of this.querySelectorAll('[data-card="new"], input[data-made]')) copied.remove();
    this.required = this.toggleAttribute("data-required", this.input.required || this.hasAttribute("data-required"));
    const early = [...this.input.files]; // chosen before this script came
    this.#describe();
    for (const card of this.cards.children) this.#enliven(card);
    this.input.addEventListener("change", () => this.add([...this.input.files]));
    this.#takeDrops();
    this.arrange();
    if (early.length) this.add(early);
    this.#removeBrokenThumbnails();
  }

  /** Give the input its description and name for screen readers. */
  #describe() {
    // an inline form was copied, with the id of its hint
    const hint = this.querySelector(".stored-object-hint");
    if (hint?.id && this.input.id) {
      const described = this.input.getAttribute("aria-describedby") ?? "";
      hint.id = `${this.input.id}_hint`;
      this.input.setAttribute("aria-describedby", [...described.split(" ").filter((id) => !id.endsWith("_hint")), hint.id].join(" ").trim());
    }
    // tabular inlines of the admin have no labels
    const named = this.input.labels?.length || this.input.hasAttribute("aria-labelledby");
    if (!named) this.input.setAttribute("aria-label", this.querySelector("[data-call]").textContent);
  }

  #removeBrokenThumbnails() {
    for (const image of this.querySelectorAll("[data-thumbnail]")) {
      const remove = () => image.remove(); // the icon is behind the image
      if (image.complete && !image.naturalWidth) remove();
      image.addEventListener("error", remove);
    }
  }

  disconnectedCallback() {
    this.#followed.abort();
    // moving it within the page disconnects it, too
    queueMicrotask(() => this.isConnected || !this.input || this.forget());
  }

  /** Listen to the page, as long as the input is in it. */
  #follow() {
    this.#followed = new AbortController();
    const { signal } = this.#followed;
    // its form is known to the browser a moment later
    const reset = (event) => {
      const ours = !event.defaultPrevented && event.target === this.input?.form;
      if (ours) setTimeout(() => this.forget()); // after the browser's own
    };
    addEventListener("reset", reset, { signal });
    addEventListener("change", (event) => this.#steers(event.target) && this.arrange(), { signal });
  }

  #steers(control) {
    return control.name && control.name === this.#controlName && control.form === this.input?.form;
  }

  // what holds submits asks this

  /** Whether files are to be uploaded before the form is sent. */
  get busy() {
    const { ticket } = this;
    const waits = (file) => file.ticket !== ticket || (ticket && !file.receipt);
    return !this.input.disabled && this.#present().some(waits);
  }

  /** Upload what is left; resolve with whether all files have receipts then. */
  async settle() {
    this.complain();
    const files = this.#present();
    for (const file of files) file.start(this.ticket, true);
    this.arrange();
    const done = await Promise.all(files.map((file) => file.done));
    return done.every(Boolean) && files.length === this.#present().length && !this.busy;
  }

  freeze(frozen) {
    this.#frozen = frozen;
    for (const control of this.querySelectorAll("[data-drop], [data-moves], [data-remove]")) {
      control.inert = frozen && !control.closest("[data-uploading]");
    }
  }

  // for new files

  get urls() {
    const { startUrl, finishUrl, statusUrl, abortUrl } = this.dataset;
    return { start: startUrl, finish: finishUrl, status: statusUrl, abort: abortUrl };
  }

  get csrf() {
    const name = "[name=csrfmiddlewaretoken]";
    const input = this.input.form?.querySelector(name) ?? document.querySelector(name);
    if (input) return input.value;
    const cookies = new Map(document.cookie.split("; ").map((cookie) => cookie.split("=", 2)));
    return cookies.get(this.dataset.csrfCookie) ?? "";
  }

  /** Where a file goes: by that, an interrupted upload is known again. */
  get memory() {
    return JSON.stringify([location.pathname, location.search, this.input.name, this.#control]);
  }

  /** The name of the input that selects the ticket; inlines of the admin renumber both. */
  get #controlName() {
    const { ticketControl, ticketOwn } = this.dataset;
    return ticketControl ? this.input.name.slice(0, -ticketOwn.length) + ticketControl : "";
  }

  get #control() {
    const control = this.input.form?.elements.namedItem(this.#controlName);
    if (control?.type === "checkbox" && !control.checked) return "";
    return control?.value ?? ""; // of radio buttons, that of the checked one
  }

  emit(name, detail, cancelable = false) {
    const event = new CustomEvent(`stored-object:${name}`, { bubbles: true, cancelable, detail });
    return this.dispatchEvent(event);
  }

  text(key, values = {}) {
    return this.getAttribute(`data-text-${key}`).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  }

  /** Format a number of bytes as the server does. */
  inWords(bytes) {
    if (bytes === 1) return this.text("byte");
    const units = this.text("units").split("|");
    const step = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)));
    const digits = step ? 1 : 0;
    const number = new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return `${number.format(bytes / 1024 ** step)}\u00a0${units[step]}`;
  }

  /** Format a number of seconds. */
  duration(seconds) {
    const [unit, size] = seconds < 90 ? ["second", 1] : seconds < 5400 ? ["minute", 60] : ["hour", 3600];
    const style = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 };
    return new Intl.NumberFormat(language(), style).format(Math.max(1, Math.ceil(seconds / size)));
  }

  /** The ticket for direct uploads, "" without; the value of another input may select it. */
  get ticket() {
    const { ticket, ticketControl } = this.dataset;
    if (!ticketControl || !ticket) return ticket ?? "";
    return JSON.parse(ticket)[this.#control] ?? "";
  }

  get usable() {
    return !this.input.disabled && !this.#frozen;
  }

  say(text) {
    this.querySelector("[data-status]").textContent = text;
  }

  complain(...texts) {
    const faults = texts.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
    this.querySelector("[data-faults]").replaceChildren(...faults);
  }

  /** Add the files that the limits allow; without `multiple` only the last one. */
  add(files) {
    const faults = files.map((file) => this.#fault(file));
    const good = files.filter((_, number) => !faults[number]);
    if (good.length > 1 && !this.multiple) faults.push(this.text("one-file", { name: shownName(good.at(-1).name) }));
    this.complain(...faults.filter(Boolean));
    if (good.length && !this.multiple) this.forget();
    const fitting = this.multiple ? good : good.slice(-1);
    for (const file of fitting) this.#show(file);
    this.arrange();
    if (fitting.length) this.say(fitting.map((file) => this.text("added", { name: shownName(file.name) })).join(" "));
  }

  forget() {
    for (const [card, file] of this.files) {
      file.cancel();
      card.remove();
    }
    this.files.clear();
    this.arrange();
  }

  #fault(file) {
    const { maxSize, types, allowed, allowsEmpty } = this.dataset;
    const name = shownName(file.name);
    if (maxSize && file.size > Number(maxSize)) {
      return this.text("too-large", { name, size: this.inWords(file.size), limit: this.inWords(Number(maxSize)) });
    }
    if (!file.size && !allowsEmpty) return this.text("empty", { name });
    if (file.name.length > LONGEST_NAME) {
      return this.text("long-name", { name: `${name.slice(0, 40)}…`, limit: LONGEST_NAME });
    }
    if (name !== file.name) return this.text("bad-name", { name });
    // where the browser does not know the type, the server checks it
    const fits = (type) => (type.endsWith("/*") ? file.type.startsWith(type.slice(0, -1)) : file.type === type);
    if (types && file.type && !types.split(" ").some(fits)) return this.text("wrong-type", { name, allowed });
    return "";
  }

  #show(file) {
    const card = this.querySelector("[data-new]").content.firstElementChild.cloneNode(true);
    fillCard(card, file, this.inWords(file.size));
    this.files.set(card, new NewFile(this, card, file));
    this.cards.append(card);
    this.#enliven(card);
  }

  /** The box by which a form without script removes the file of a card; a new file has none. */
  #box(card) {
    return card.querySelector(".stored-object-check input");
  }

  #isRemoved(card) {
    return this.#box(card)?.checked ?? this.files.get(card)?.isRemoved ?? false;
  }

  /** Remove the file of a card, or undo that. */
  #remove(card) {
    const removed = !this.#isRemoved(card);
    const file = this.files.get(card);
    const key = !removed ? "undone" : file?.isRunning ? "cancelled" : "removed";
    if (file) file.remove(removed);
    else this.#box(card).checked = removed;
    this.complain();
    this.arrange();
    this.say(this.text(key, { name: card.dataset.label }));
  }

  /** Return the new files, without those that were removed, or whose cards another script took. */
  #present() {
    for (const [card, file] of this.files) {
      if (this.contains(card)) continue;
      file.cancel();
      this.files.delete(card);
    }
    return [...this.files.values()].filter((file) => !file.isRemoved);
  }

  /** Start uploads; update the inputs of the form, and what is visible, from the cards. */
  arrange() {
    const { ticket } = this;
    // again: a script that morphs the page may have removed it
    this.classList.add("is-live");
    this.querySelector("[data-call]").hidden = false;
    for (const file of this.#present()) file.start(ticket);
    for (const [card, file] of this.files) {
      card.toggleAttribute("data-uploading", file.isRunning);
    }
    this.#write(ticket);
    this.#display();
    this.freeze(this.#frozen);
  }

  #write(ticket) {
    const { name } = this.input;
    const chosen = new DataTransfer();
    for (const old of this.querySelectorAll("input[data-made]")) old.remove();
    [...this.cards.children].forEach((card, number) => {
      const place = card.querySelector("[data-place]");
      if (place) place.value = number + 1;
      const file = this.files.get(card);
      if (!file || file.isRemoved || (ticket && !file.receipt)) return;
      if (ticket) this.#hide(`${name}-receipt`, file.receipt);
      else chosen.items.add(file.file);
      if (this.multiple) this.#hide(`${name}-${ticket ? "receipt" : "upload"}-place`, number + 1);
    });
    this.input.files = chosen.files;
    this.input.required = this.required && !(ticket && this.#present().length);
  }

  /** Add a hidden input to the form. */
  #hide(name, value) {
    const made = Object.assign(document.createElement("input"), { type: "hidden", name, value });
    made.dataset.made = "";
    if (this.input.hasAttribute("form")) made.setAttribute("form", this.input.getAttribute("form"));
    this.append(made);
  }

  #display() {
    const cards = [...this.cards.children];
    this.cards.hidden = !cards.length;
    const replacing = !this.multiple && this.#present().length > 0;
    for (const card of cards) {
      const replaced = replacing && card.dataset.card !== "new";
      const box = this.#box(card);
      card.classList.toggle("is-replaced", replaced);
      const note = card.querySelector("[data-note]");
      if (note) note.hidden = !replaced;
      if (box && replaced) box.checked = false;
      const removed = this.#isRemoved(card);
      card.toggleAttribute("data-removed", removed);
      const button = card.querySelector("[data-remove]");
      if (!button) continue;
      button.hidden = replaced || Boolean(box?.disabled);
      for (const word of button.querySelectorAll("[data-word]")) word.hidden = (word.dataset.word === "undo") !== removed;
      const [up, down] = card.querySelectorAll("[data-move]");
      up?.setAttribute("aria-disabled", card === cards[0]);
      down?.setAttribute("aria-disabled", card === cards.at(-1));
    }
  }

  // order

  #enliven(card) {
    card.querySelector("[data-remove]")?.addEventListener("click", () => this.#remove(card));
    if (!this.multiple || !this.usable) return;
    card.querySelector("[data-moves]").hidden = false;
    for (const button of card.querySelectorAll("[data-move]")) {
      button.addEventListener("click", () => this.#move(card, Number(button.dataset.move), button));
    }
    card.draggable = true;
    card.addEventListener("dragstart", (event) => {
      this.dragged = card;
      card.classList.add("is-dragged");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", card.dataset.label);
    });
    card.addEventListener("dragend", () => {
      card.classList.remove("is-dragged");
      if (this.dragged) this.#moved(card);
      this.dragged = null;
    });
    card.addEventListener("dragover", (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      const { top, height } = card.getBoundingClientRect();
      if (card !== this.dragged) card[event.clientY < top + height / 2 ? "before" : "after"](this.dragged);
    });
    card.addEventListener("drop", (event) => this.dragged && event.preventDefault());
  }

  #move(card, by, button) {
    const cards = [...this.cards.children];
    const other = cards[cards.indexOf(card) + by];
    if (!other) return;
    other[by < 0 ? "before" : "after"](card);
    this.#moved(card);
    button.focus();
  }

  #moved(card) {
    this.arrange();
    const cards = [...this.cards.children];
    this.say(this.text("moved", { name: card.dataset.label, place: cards.indexOf(card) + 1, total: cards.length }));
  }

  #takeDrops() {
    const carries = (event) => this.usable && event.dataTransfer?.types.includes("Files");
    this.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      this.classList.add("is-over");
    });
    this.addEventListener("dragleave", (event) => {
      if (!this.contains(event.relatedTarget)) this.classList.remove("is-over");
    });
    this.addEventListener("drop", (event) => {
      this.classList.remove("is-over");
      if (!carries(event)) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
    this.addEventListener("paste", (event) => {
      if (!this.usable || !event.clipboardData.files.length) return;
      event.preventDefault();
      this.add([...event.clipboardData.files]);
    });
  }
}

// pages may load this script twice
if (!customElements.get(TAG)) {
  customElements.define(TAG, StoredObjectInput);
  const all = () => [...document.querySelectorAll(TAG)].filter((input) => input.input);
  holdSubmits((place) => all().filter((input) => place === document || input.input.form === place));
}
