// Drag and drop, sorting, checks and progress for the file inputs; they work without it, too.
import { DirectUploader, FormUploader, Meter } from "./upload.js";

const LONGEST_NAME = 255;
const DECEPTIVE = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ICONS = [
  ["image", /^image\//],
  ["audio", /^audio\//],
  ["video", /^video\//],
  ["archive", /zip|tar|rar|7z|compress/],
  ["text", /^text\/|pdf|json|document|sheet|msword|rtf/],
];
/** Bytes; larger images get no thumbnail. */
const DECODED = 30_000_000;

const language = () => document.documentElement.lang || undefined;

const shown = (name) => name.replace(new RegExp(DECEPTIVE, "g"), "\ufffd").replace(new RegExp(CONTROL, "g"), "\ufffd");

/** One input: its cards, the chosen files, its error messages. */
class StoredObjectInput {
  constructor(root) {
    this.root = root;
    this.cards = root.querySelector("[data-cards]");
    this.input = root.querySelector("[data-input]");
    this.multiple = root.hasAttribute("data-multiple");
    this.files = new Map(); // new card -> file
    root.classList.add("is-live");
    root.querySelector("[data-call]").hidden = false;
    // an inline form was copied, with the id of its hint
    const hint = root.querySelector(".stored-object-hint");
    if (hint?.id && this.input.id) {
      const described = this.input.getAttribute("aria-describedby") ?? "";
      hint.id = `${this.input.id}_hint`;
      this.input.setAttribute("aria-describedby", [...described.split(" ").filter((id) => !id.endsWith("_hint")), hint.id].join(" ").trim());
    }
    // tabular inlines of the admin have no labels
    const named = this.input.labels?.length || this.input.hasAttribute("aria-labelledby");
    if (!named) this.input.setAttribute("aria-label", root.querySelector("[data-call]").textContent);
    for (const card of this.cards.children) this.#enliven(card);
    this.input.addEventListener("change", () => this.add([...this.input.files]));
    this.input.form?.addEventListener("reset", () => this.forget());
    this.#takeDrops();
    this.#arrange();
    for (const image of root.querySelectorAll("[data-thumbnail]")) {
      const gone = () => image.remove(); // the icon is behind the image
      if (image.complete && !image.naturalWidth) gone();
      image.addEventListener("error", gone);
    }
  }

  text(key, values = {}) {
    return this.root.getAttribute(`data-text-${key}`).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  }

  /** Format a number of bytes as the server does. */
  inWords(bytes) {
    const units = this.text("units").split("|");
    const step = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)));
    const digits = step ? 1 : 0;
    const number = new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return `${number.format(bytes / 1024 ** step)}\u00a0${units[step]}`;
  }

  /** The ticket for direct uploads; the value of another input may select it. */
  get ticket() {
    const { ticket, ticketControl } = this.root.dataset;
    if (!ticketControl) return ticket;
    const control = new FormData(this.input.form).get(ticketControl);
    return JSON.parse(ticket)[control];
  }

  get usable() {
    return !this.input.disabled;
  }

  say(text) {
    this.root.querySelector("[data-status]").textContent = text;
  }

  complain(...texts) {
    const faults = texts.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
    this.root.querySelector("[data-faults]").replaceChildren(...faults);
  }

  /** Add the files that the limits allow; without `multiple` only the last one. */
  add(files) {
    const faults = files.map((file) => this.#fault(file));
    this.complain(...faults.filter(Boolean));
    const good = files.filter((_, number) => !faults[number]);
    if (good.length && !this.multiple) this.forget();
    for (const file of this.multiple ? good : good.slice(-1)) this.#show(file);
    this.#write();
    if (good.length) this.say(good.map((file) => this.text("added", { name: shown(file.name) })).join(" "));
  }

  forget() {
    for (const card of this.files.keys()) card.remove();
    this.files.clear();
    this.#write();
  }

  #fault(file) {
    const { maxSize, types, allowed, allowsEmpty } = this.root.dataset;
    const name = shown(file.name);
    if (maxSize && file.size > Number(maxSize)) {
      return this.text("too-large", { name, size: this.inWords(file.size), limit: this.inWords(Number(maxSize)) });
    }
    if (!file.size && !allowsEmpty) return this.text("empty", { name });
    if (file.name.length > LONGEST_NAME) {
      return this.text("long-name", { name: `${name.slice(0, 40)}…`, limit: LONGEST_NAME });
    }
    if (DECEPTIVE.test(file.name) || CONTROL.test(file.name)) return this.text("bad-name", { name });
    // where the browser does not know the type, the server checks it
    const fits = (type) => (type.endsWith("/*") ? file.type.startsWith(type.slice(0, -1)) : file.type === type);
    if (types && file.type && !types.split(" ").some(fits)) return this.text("wrong-type", { name, allowed });
    return "";
  }

  #show(file) {
    const card = this.root.querySelector("[data-new]").content.firstElementChild.cloneNode(true);
    const name = shown(file.name);
    card.dataset.label = name;
    card.querySelector("[data-name]").textContent = name;
    card.querySelector("[data-size]").textContent = this.inWords(file.size);
    for (const of of card.querySelectorAll("[data-of]")) of.textContent = ` ${name}`;
    const icon = ICONS.find(([, pattern]) => pattern.test(file.type))?.[0] ?? "file";
    card.querySelector(`[data-icon="${icon}"]`).removeAttribute("hidden");
    card.querySelector("[data-remove]").addEventListener("click", () => this.#remove(card, name));
    this.files.set(card, file);
    this.cards.append(card);
    this.#enliven(card);
    if (icon === "image" && file.size < DECODED) this.#draw(file, card.querySelector(".stored-object-tile"));
  }

  /** Draw a thumbnail on a canvas, which needs no `blob:` in the Content-Security-Policy. */
  async #draw(file, tile) {
    try {
      const size = { resizeWidth: 160, resizeQuality: "medium" };
      const picture = await createImageBitmap(file, size);
      const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      tile.append(canvas);
    } catch {
      // not an image: the server rejects it
    }
  }

  #remove(card, name) {
    const next = card.nextElementSibling ?? card.previousElementSibling;
    this.files.delete(card);
    card.remove();
    this.complain();
    this.#write();
    this.say(this.text("removed", { name }));
    (next?.querySelector("[data-remove], input[type=checkbox]") ?? this.input).focus();
  }

  /** Update the input and the hidden inputs from the cards. */
  #write() {
    const chosen = new DataTransfer();
    const cards = [...this.cards.children];
    for (const old of this.root.querySelectorAll("input[data-made]")) old.remove();
    cards.forEach((card, number) => {
      const place = card.querySelector("[data-place]");
      if (place) place.value = number + 1;
      const file = this.files.get(card);
      if (!file) return;
      chosen.items.add(file);
      if (this.multiple) this.hide(`${this.input.name}-upload-place`, number + 1);
    });
    this.input.files = chosen.files;
    this.#arrange();
  }

  /** Add a hidden input to the form. */
  hide(name, value) {
    const made = Object.assign(document.createElement("input"), { type: "hidden", name, value });
    made.dataset.made = "";
    this.root.append(made);
  }

  /** Update visibility and buttons after the cards changed. */
  #arrange() {
    const cards = [...this.cards.children];
    this.cards.hidden = !cards.length;
    const replaced = !this.multiple && cards.some((card) => card.dataset.card === "new");
    for (const card of cards) {
      const old = !this.multiple && card.dataset.card !== "new";
      const clear = card.querySelector("[data-clear], [data-discard]");
      card.classList.toggle("is-replaced", old && replaced);
      const note = card.querySelector("[data-note]");
      if (note) note.hidden = !(old && replaced);
      if (clear && old) {
        if (replaced) clear.checked = false;
        clear.closest("label").hidden = replaced;
      }
      const [up, down] = card.querySelectorAll("[data-move]");
      up?.setAttribute("aria-disabled", card === cards[0]);
      down?.setAttribute("aria-disabled", card === cards.at(-1));
    }
  }

  // order

  #enliven(card) {
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
    this.#write();
    const cards = [...this.cards.children];
    this.say(this.text("moved", { name: card.dataset.label, place: cards.indexOf(card) + 1, total: cards.length }));
  }

  #takeDrops() {
    const carries = (event) => this.usable && event.dataTransfer?.types.includes("Files");
    this.root.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      this.root.classList.add("is-over");
    });
    this.root.addEventListener("dragleave", (event) => {
      if (!this.root.contains(event.relatedTarget)) this.root.classList.remove("is-over");
    });
    this.root.addEventListener("drop", (event) => {
      this.root.classList.remove("is-over");
      if (!carries(event)) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
  }

  // progress

  /** Show the progress bar; return a function that takes the bytes sent and the total. */
  progress(cancel) {
    const place = this.root.querySelector("[data-sending]");
    const bar = place.querySelector("progress");
    const speed = place.querySelector("[data-speed]");
    const meter = new Meter();
    bar.value = 0;
    place.hidden = false;
    place.querySelector("[data-cancel]").onclick = cancel;
    return (sent, total) => {
      bar.value = total ? sent / total : 1;
      const values = { sent: this.inWords(sent), total: this.inWords(total), speed: this.inWords(meter.speed(sent)) };
      speed.textContent = sent < total ? this.text("sending", values) : this.text("storing");
      if (sent >= total) bar.removeAttribute("value");
    };
  }

  waits() {
    this.root.querySelector("[data-speed]").textContent = this.text("waiting");
  }

  rest() {
    this.root.querySelector("[data-sending]").hidden = true;
  }
}

const inputs = new WeakMap();

/** Submits a form that has files, with progress, and shows the response. */
class Sending {
  constructor(form) {
    this.form = form;
    form.addEventListener("submit", (event) => this.#submit(event));
  }

  get #inputs() {
    const roots = this.form.querySelectorAll("[data-stored-object]");
    return [...roots].map((root) => inputs.get(root)).filter((input) => input?.files.size && input.usable);
  }

  #submit(event) {
    const full = this.#inputs;
    const target = event.submitter?.getAttribute("formtarget") || this.form.target;
    if (event.defaultPrevented || !full.length || (target && target !== "_self")) return;
    event.preventDefault();
    this.#send(full, event.submitter);
  }

  async #send(full, submitter) {
    const stop = new AbortController();
    this.#rest(true);
    try {
      for (const input of full.filter((each) => each.ticket)) await this.#sendDirectly(input, stop);
      await this.#sendForm(full, submitter, stop);
    } catch (error) {
      const key = error.name === "AbortError" ? "cancelled" : error.status ? "refused" : "failed";
      full[0].complain(full[0].text(key, { status: error.status }));
    } finally {
      for (const input of full) input.rest();
      this.#rest(false);
    }
  }

  async #sendDirectly(input, stop) {
    const { startUrl, finishUrl } = input.root.dataset;
    const ticket = input.ticket;
    const csrf = this.form.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
    const uploader = new DirectUploader({ start: startUrl, finish: finishUrl, ticket, csrf });
    const total = [...input.files.values()].reduce((sum, file) => sum + file.size, 0);
    const show = input.progress(() => stop.abort());
    let before = 0;
    for (const [card, file] of input.files) {
      const report = (sent) => show(before + sent, total);
      const options = { signal: stop.signal, onprogress: report, onwait: () => input.waits() };
      if (card.dataset.ticket !== ticket) {
        card.dataset.receipt = await uploader.upload(file, options);
        card.dataset.ticket = ticket;
      }
      before += file.size;
    }
  }

  async #sendForm(full, submitter, stop) {
    for (const input of full.filter((each) => each.ticket)) this.#handIn(input);
    const left = full.filter((each) => !each.ticket);
    const show = (left[0] ?? full[0]).progress(() => stop.abort());
    // a disabled button would not be sent with the form
    this.#rest(false);
    const sent = new FormUploader().upload(this.form, submitter, { signal: stop.signal, onprogress: show });
    this.#rest(true);
    const answer = await sent;
    if (answer.status >= 500 || answer.status === 413) throw Object.assign(new Error(), { status: answer.status });
    this.#show(answer);
  }

  /** Replace the files by their receipts. */
  #handIn(input) {
    for (const old of input.root.querySelectorAll("input[data-made]")) old.remove();
    [...input.cards.children].forEach((card, number) => {
      if (!input.files.has(card)) return;
      input.hide(`${input.input.name}-receipt`, card.dataset.receipt);
      if (input.multiple) input.hide(`${input.input.name}-receipt-place`, number + 1);
    });
    input.input.value = "";
  }

  /** Show the response as the new page; load the URL where it is not HTML. */
  #show(answer) {
    if (!/html/.test(answer.getResponseHeader("Content-Type") ?? "")) {
      location.assign(answer.responseURL);
      return;
    }
    history.replaceState(null, "", answer.responseURL);
    document.open();
    // the browser does not run this module again in the new page
    document.addEventListener("DOMContentLoaded", start);
    document.write(answer.responseText);
    document.close();
    scrollTo(0, 0);
  }

  #rest(busy) {
    for (const button of this.form.querySelectorAll("button:not([type=button]), input[type=submit]")) button.disabled = busy;
  }
}

const forms = new WeakSet();

function enliven(place) {
  for (const root of place.querySelectorAll("[data-stored-object]")) {
    // the admin copies the empty row: leave it unchanged
    if (inputs.has(root) || root.closest(".empty-form")) continue;
    const input = new StoredObjectInput(root);
    inputs.set(root, input);
    const form = input.input.form;
    if (form?.method === "post" && !forms.has(form)) {
      forms.add(form);
      new Sending(form);
    }
  }
}

function start() {
  enliven(document);
  document.addEventListener("formset:added", (event) => enliven(event.target));
}

start();
