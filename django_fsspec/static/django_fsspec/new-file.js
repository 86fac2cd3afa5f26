// A file that was chosen or dropped, and its upload if it goes directly to the storage.
import { shownName } from "./new-card.js";
import { DirectUploader, Meter, Queue } from "./upload.js";

/** Files of the page that are uploaded at once. */
const queue = new Queue(3);
/** Signals of the uploads that leaving the page would interrupt. */
const running = new Set();

const warn = (event) => event.preventDefault();

/** Note that an upload runs, or does so no more; warn of leaving the page while one does. */
function setRunning(signal, isRunning) {
  running[isRunning ? "add" : "delete"](signal);
  // browsers keep no page with such a listener for going back: only as long as it is needed
  if (running.size) addEventListener("beforeunload", warn);
  else removeEventListener("beforeunload", warn);
}

/** A new file of an input, with its card. */
export class NewFile {
  receipt = "";
  /** The ticket that the upload was started with; "" without an upload. */
  ticket = "";
  /** Resolves with whether the file can be sent with the form. */
  done = Promise.resolve(true);
  isRunning = false;
  isRemoved = false;
  #stop = new AbortController();

  constructor(input, card, file) {
    Object.assign(this, { input, card, file });
  }

  cancel() {
    this.#stop.abort();
  }

  /** Leave the file out, or undo that; what is uploaded already is kept for that. */
  remove(removed) {
    this.isRemoved = removed;
    if (this.isRunning) this.cancel();
    if (removed) this.#show("left-out", null);
    else if (this.receipt) this.#show("uploaded", null);
    else this.ticket = null; // begin anew
  }

  /** Upload the file with a ticket, once; if that failed, `again` has it uploaded once more. */
  start(ticket, again = false) {
    const failed = ticket && !this.receipt && !this.isRunning;
    if (this.ticket === ticket && !(failed && again)) return;
    this.cancel();
    this.#stop = new AbortController();
    Object.assign(this, { ticket, receipt: "", isRunning: Boolean(ticket) });
    this.done = ticket ? this.#upload(ticket, this.#stop.signal) : Promise.resolve(true);
    if (!ticket) this.#show("chosen", null);
  }

  async #upload(ticket, signal) {
    const { input, file } = this;
    const uploader = new DirectUploader({ urls: input.urls, ticket, csrf: input.csrf, memory: input.memory });
    const meter = new Meter();
    const options = {
      signal,
      onprogress: (sent, total) => this.#progress(sent, total, meter),
      onwait: () => this.#show("waiting"),
    };
    setRunning(signal, true);
    this.#show("queued", 0);
    input.emit("start", { file });
    let receipt = "";
    try {
      receipt = await queue.run(() => uploader.upload(file, options), signal);
    } catch (error) {
      if (signal === this.#stop.signal) this.#failed(error);
    }
    setRunning(signal, false);
    if (signal === this.#stop.signal) {
      Object.assign(this, { receipt, isRunning: false });
      if (receipt) this.#show("uploaded", null);
      input.arrange();
    } else receipt = ""; // it was started anew meanwhile, with another ticket
    input.emit("end", { file, receipt });
    return Boolean(receipt);
  }

  #failed(error) {
    const isFinal = error.isShown || error.status === 415;
    this.#show(this.isRemoved ? "left-out" : isFinal ? "refused-for-good" : "not-uploaded", null);
    if (error.name === "AbortError") return;
    const shows = this.input.emit("error", { file: this.file, error }, true);
    if (shows) this.input.complain(this.#complaint(error));
  }

  /** Return why an upload failed, in words. */
  #complaint(error) {
    const name = shownName(this.file.name);
    if (error.isShown) return error.message.includes(name) ? error.message : this.input.text("reason", { name, reason: error.message });
    const isOld = error.bySite && (error.status === 403 || error.status === 410);
    const isFull = error.bySite && error.status === 429;
    const key = isOld ? "old-page" : isFull ? "too-many" : error.status === 415 ? "wrong-content" : error.status ? "refused" : "failed";
    return this.input.text(key, { name, status: error.status });
  }

  #progress(sent, total, meter) {
    const speed = meter.speed(sent);
    if (sent >= total) return this.#show("storing", 1);
    const left = speed ? this.input.duration((total - sent) / speed) : "…";
    const percent = Math.floor((100 * sent) / total);
    this.#show("sending", sent / total, { percent, left, speed: this.input.inWords(speed) });
    return this.input.emit("progress", { file: this.file, sent, total });
  }

  /** Show a state, and how much is done, from 0 to 1; null hides the bar. */
  #show(key, share, values = {}) {
    const bar = this.card.querySelector("progress");
    if (share !== undefined) bar.hidden = share === null;
    bar.value = share ?? bar.value;
    this.card.querySelector("[data-state]").textContent = this.input.text(key, values);
  }
}
