// Direct uploads to a storage, in parts that are sent in parallel and resumed. No user interface.
import { sha256 } from "./sha256.js";

/** A server refused an upload; `status` 0 means that the connection was lost. */
export class UploadError extends Error {
  /** Whether it was the site that refused, not the storage. */
  bySite = false;
  /** Whether the message is for the visitor. */
  isShown = false;

  constructor(status, text = "") {
    super(text || `The server responded with status ${status}.`);
    this.name = "UploadError";
    this.status = status;
  }
}

const cancelled = () => new DOMException("Cancelled", "AbortError");

/** Send a request; resolve with its XMLHttpRequest, since fetch() reports no upload progress. */
export function send(method, url, { headers = {}, body = null, signal, onprogress } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(cancelled());
      return;
    }
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (onprogress) {
      request.upload.addEventListener("progress", (event) => onprogress(event.loaded));
      request.upload.addEventListener("load", (event) => onprogress(event.total));
    }
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new UploadError(0)));
    request.addEventListener("abort", () => reject(cancelled()));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    signal?.addEventListener("abort", abort);
    request.send(body);
  });
}

/** Measures the speed of the last four seconds. */
export class Meter {
  #seen = [];

  /** Record the bytes sent so far; return bytes per second. */
  speed(sent, now = performance.now()) {
    this.#seen.push([now, sent]);
    while (this.#seen.length > 2 && now - this.#seen[0][0] > 4000) this.#seen.shift();
    const [then, before] = this.#seen[0];
    return now > then ? ((sent - before) * 1000) / (now - then) : 0;
  }
}

/** Lets at most `width` jobs run at once; the others wait in their order. */
export class Queue {
  #free;
  #waiting = [];

  constructor(width) {
    this.#free = width;
  }

  /** Run `job` when it is its turn; reject at once where `signal` aborts before. */
  async run(job, signal) {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  #turn(signal) {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(cancelled());
      };
      const begin = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(begin);
      signal.addEventListener("abort", leave);
    });
  }
}

const LATER = new Set([0, 408, 425, 429, 500, 502, 503, 504]);
/** Statuses of a create-only upload where the object exists; Azure sends 403 or 409. */
const THERE = new Set([403, 409, 412]);
/** Statuses of a part whose URL has expired, or of which a part has arrived. */
const OUTDATED = new Set([400, 401, 403, 409]);
/** Parts of one file that are sent in parallel. */
const PARALLEL = 3;
/** Bytes up to which a file is hashed before it is sent, so that its SHA-256 can be signed. */
const HASHED_FIRST = 8 * 1024 * 1024;
/** Keys of uploads that run: the same file, chosen twice, is uploaded twice. */
const active = new Set();

/**
 * Uploads files directly to the storage, in parts if the server says so.
 *
 * `urls` has `start`, `finish`, and perhaps `status` and `abort`. POSTs {ticket, name, size, type,
 * sha256?} to `start`, which returns {method, url, headers, upload, part_size, parts, parallel?}. `parts` is
 * a list of {number, url, size, offset?, headers?}, empty for a file in one piece; `parallel` is how
 * many are sent at a time. Retries parts that fail, not those that arrived; waits while the browser
 * is offline; asks `status` for new URLs where some have expired. A refusal because the object
 * exists means that the file has arrived and the response was lost. POSTs {upload, sha256}
 * to `finish`, which checks the file and returns {receipt}.
 *
 * With `memory`, a key of the place where the file goes, an upload in parts that a reload
 * interrupted is resumed when the same file is chosen again.
 */
export class DirectUploader {
  constructor({ urls, ticket, csrf, memory = "", tries = 6, pause = 500 }) {
    Object.assign(this, { urls, ticket, csrf, memory, tries, pause });
  }

  /** Upload a file; resolve with its receipt. Cancelling aborts what was begun at the server. */
  async upload(file, { signal, onprogress, onwait } = {}) {
    const key = this.#key(file);
    const run = { file, signal, onwait, key: active.has(key) ? "" : key, plan: null, sent: new Map(), renewed: new Map() };
    active.add(run.key);
    run.sha256 = sha256(file, signal);
    run.report = () => onprogress?.(Math.min([...run.sent.values()].reduce((sum, n) => sum + n, 0), file.size), file.size);
    try {
      run.plan = (await this.#resumed(run)) ?? (await this.#started(run));
      const refused = run.plan.part_size ? await this.#sendParts(run) : await this.#sendWhole(run);
      const receipt = await this.#finished(run, refused);
      forget(run.key);
      return receipt;
    } catch (error) {
      if (error.name === "AbortError") await this.#abort(run);
      throw error;
    } finally {
      active.delete(run.key);
    }
  }

  // the server

  async #started(run) {
    const { file } = run;
    const about = { ticket: this.ticket, name: file.name, size: file.size, type: file.type };
    if (file.size <= HASHED_FIRST) about.sha256 = await run.sha256;
    // asked to its end, also when it is cancelled meanwhile: what it begins has to be aborted
    const ask = () => (run.signal?.aborted ? Promise.reject(cancelled()) : this.#ask(this.urls.start, about));
    const plan = await this.#retried(ask, run);
    if (!plan.parts?.length) return { ...plan, part_size: null };
    remember(run.key, { ...plan, parts: [] });
    return plan;
  }

  /** Return the plan of an upload that was interrupted, null where there is none. */
  async #resumed(run) {
    const memory = recall(run.key);
    if (!memory || !this.urls.status) return null;
    try {
      const status = await this.#retried(() => this.#ask(this.urls.status, { upload: memory.upload }, run.signal), run);
      for (const part of status.finished) run.sent.set(part.number, part.size);
      return { ...memory, parts: status.parts };
    } catch (error) {
      if (!(error instanceof UploadError) || LATER.has(error.status)) throw error;
      forget(run.key); // expired, or gone
      return null;
    }
  }

  async #finished(run, refused) {
    try {
      const about = { upload: run.plan.upload, sha256: await run.sha256 };
      const answer = await this.#retried(() => this.#ask(this.urls.finish, about, run.signal), run);
      return answer.receipt;
    } catch (error) {
      if (error instanceof UploadError && !LATER.has(error.status)) forget(run.key);
      // nothing arrived, so the refusal had another reason
      throw error.status === 404 && refused ? refused : error;
    }
  }

  async #abort(run) {
    forget(run.key);
    if (!run.plan || !this.urls.abort) return;
    // best effort: sweep_files finds what is left
    await this.#ask(this.urls.abort, { upload: run.plan.upload }).catch(() => {});
  }

  async #ask(url, about, signal) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.csrf };
    const request = await send("POST", url, { headers, body: JSON.stringify(about), signal });
    let answer = {};
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      if (request.status < 300) throw new UploadError(502);
    }
    const isShown = Boolean(answer.shown);
    if (request.status >= 300) throw Object.assign(new UploadError(request.status, answer.error), { bySite: true, isShown });
    return answer;
  }

  // bytes

  async #sendWhole(run) {
    const { plan, file } = run;
    try {
      await this.#retried(() => this.#put(run, { number: 1, url: plan.url }, file), run);
      return null;
    } catch (error) {
      // browsers silently send again where a keep-alive connection was lost
      if (THERE.has(error.status)) return error;
      throw error;
    }
  }

  async #sendParts(run) {
    if (run.signal?.aborted) throw cancelled();
    run.report();
    const left = [...run.plan.parts];
    const stop = new AbortController();
    const abort = () => stop.abort();
    run.signal?.addEventListener("abort", abort);
    const width = run.plan.parallel ?? PARALLEL;
    const lane = async () => {
      for (let part = left.shift(); part; part = left.shift()) await this.#sendPart({ ...run, signal: stop.signal }, part);
    };
    try {
      await Promise.all(Array.from({ length: width }, () => lane()));
    } catch (error) {
      left.length = 0;
      stop.abort();
      throw run.signal?.aborted ? cancelled() : error;
    } finally {
      run.signal?.removeEventListener("abort", abort);
    }
    return null;
  }

  async #sendPart(run, part) {
    let signed = run.renewed.get(part.number) ?? part;
    for (let renewed = 0; ; renewed += 1) {
      try {
        return await this.#retried(() => this.#put(run, signed, run.file), run);
      } catch (error) {
        if (renewed === 2 || !OUTDATED.has(error.status) || !this.urls.status) throw error;
        const status = await this.#retried(() => this.#ask(this.urls.status, { upload: run.plan.upload }, run.signal), run);
        // for the other lanes and the next parts, too
        for (const each of status.parts) run.renewed.set(each.number, each);
        const before = signed;
        signed = status.parts.find((each) => each.number === part.number);
        if (!signed) return null; // it has arrived
        if (signed.offset > before.offset) renewed = 0;
      }
    }
  }

  /** Send a part; its `offset` is where the server has got to, which may be in the middle. */
  async #put(run, { number, url, headers, offset, size }, file) {
    const first = (number - 1) * (run.plan.part_size ?? 0);
    const from = offset ?? first;
    const body = file.slice(from, from + (size ?? file.size));
    const onprogress = (sent) => {
      run.sent.set(number, from - first + Math.min(sent, body.size));
      run.report();
    };
    const options = { headers: { ...run.plan.headers, ...headers }, body, signal: run.signal, onprogress };
    const { status } = await send(run.plan.method ?? "PUT", url, options);
    // 308: a part of a resumable upload to GCS arrived
    if (status >= 300 && status !== 308) throw new UploadError(status);
  }

  async #retried(action, { signal, onwait }) {
    for (let tried = 1; ; tried += 1) {
      try {
        return await action();
      } catch (error) {
        // a visitor who has too many uploads open has so later, too
        const isFull = error.bySite && error.status === 429;
        const again = error instanceof UploadError && LATER.has(error.status) && !isFull;
        if (!again || tried >= this.tries) throw error;
        onwait?.();
        if (!navigator.onLine) tried = 0;
        await pause(this.pause * 2 ** tried, signal);
      }
    }
  }

  #key(file) {
    const parts = [this.memory, this.urls.start, file.name, file.size, file.lastModified, file.type];
    return this.memory ? `django_fsspec:${JSON.stringify(parts)}` : "";
  }
}

/** Wait for `time` milliseconds, or until the browser is online again. */
function pause(time, signal) {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal?.removeEventListener("abort", over);
      if (signal?.aborted) reject(cancelled());
      else resolve();
    };
    const timer = setTimeout(over, time);
    addEventListener("online", over);
    signal?.addEventListener("abort", over);
  });
}

// Uploads in progress are remembered for the tab alone: their tokens are the user's.

function remember(key, value) {
  try {
    if (key) sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // no storage, or it is full: the upload can't be resumed
  }
}

function recall(key) {
  try {
    return key ? JSON.parse(sessionStorage.getItem(key)) : null;
  } catch {
    return null;
  }
}

function forget(key) {
  try {
    if (key) sessionStorage.removeItem(key);
  } catch {
    // nothing was remembered
  }
}
