// Upload files with the form, or directly to the storage. Both classes take {signal, onprogress}
// and have no user interface.

/** The server refused an upload; `status` 0 means that the connection was lost. */
export class UploadError extends Error {
  constructor(status, text = "") {
    super(text || `The server responded with status ${status}.`);
    this.name = "UploadError";
    this.status = status;
  }
}

/** Send a request; resolve with its XMLHttpRequest, since fetch() reports no upload progress. */
export function send(method, url, { headers = {}, body = null, signal, onprogress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (onprogress) {
      request.upload.addEventListener("progress", (event) => onprogress(event.loaded, event.total));
      request.upload.addEventListener("load", (event) => onprogress(event.total, event.total));
    }
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new UploadError(0)));
    request.addEventListener("abort", () => reject(new DOMException("Cancelled", "AbortError")));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    else request.send(body);
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

/** Submits a form with its files, as the browser would. */
export class FormUploader {
  async upload(form, submitter, options = {}) {
    const url = submitter?.hasAttribute("formaction") ? submitter.formAction : form.getAttribute("action");
    const body = new FormData(form, submitter);
    return send("POST", new URL(url || "", location.href), { ...options, body });
  }
}

const LATER = new Set([0, 408, 425, 429, 500, 502, 503, 504]);
/** Statuses of a create-only upload where the object exists; Azure sends 403 or 409. */
const THERE = new Set([403, 409, 412]);

/**
 * Uploads a file directly to the storage, in parts if the server says so.
 *
 * POSTs {ticket, name, size, type} to `start`, which returns {method, url, headers, upload,
 * part_size, parts}. `parts` is a list of {url, method?, headers?}, each for the next `part_size`
 * bytes; it is empty for a file in one piece. Retries parts that fail, not those that arrived; waits
 * while the browser is offline. A refusal because the object exists means that the file has arrived
 * and the response was lost. POSTs {upload} to `finish`, which checks the file and returns {receipt}.
 */
export class DirectUploader {
  constructor({ start, finish, ticket, csrf, tries = 6, pause = 500 }) {
    Object.assign(this, { start, finish, ticket, csrf, tries, pause });
  }

  async upload(file, { signal, onprogress, onwait } = {}) {
    const about = { ticket: this.ticket, name: file.name, size: file.size, type: file.type };
    const plan = await this.#retried(() => this.#ask(this.start, about, signal), signal, onwait);
    let before = 0;
    let refused = null;
    for (const part of this.#parts(plan, file)) {
      const headers = { ...plan.headers, ...part.headers };
      const report = (sent) => onprogress?.(before + Math.min(sent, part.body.size), file.size);
      const put = () => this.#put(part.method ?? plan.method ?? "PUT", part.url, headers, part.body, signal, report);
      refused = await this.#sent(put, part.whole, signal, onwait);
      before += part.body.size;
      onprogress?.(before, file.size);
    }
    const end = () => this.#ask(this.finish, { upload: plan.upload }, signal);
    try {
      return (await this.#retried(end, signal, onwait)).receipt;
    } catch (error) {
      // nothing arrived, so the refusal had another reason
      throw error.status === 404 && refused ? refused : error;
    }
  }

  /** Send bytes; return a refusal that may mean that the whole file has arrived. */
  async #sent(put, whole, signal, onwait) {
    try {
      await this.#retried(put, signal, onwait);
      return null;
    } catch (error) {
      // browsers silently send again where a keep-alive connection was lost
      if (whole && THERE.has(error.status)) return error;
      throw error;
    }
  }

  *#parts(plan, file) {
    if (!Array.isArray(plan.parts) || !plan.parts.length) {
      yield { url: plan.url, body: file, whole: true };
      return;
    }
    for (const [number, part] of plan.parts.entries()) {
      const from = number * plan.part_size;
      const given = typeof part === "string" ? { url: part } : part;
      yield { ...given, body: file.slice(from, Math.min(from + plan.part_size, file.size)) };
    }
  }

  async #put(method, url, headers, body, signal, onprogress) {
    const request = await send(method, url, { headers, body, signal, onprogress });
    if (request.status >= 300) throw new UploadError(request.status);
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
    if (request.status >= 300) throw new UploadError(request.status, answer.error);
    return answer;
  }

  async #retried(action, signal, onwait) {
    for (let tried = 1; ; tried += 1) {
      try {
        return await action();
      } catch (error) {
        const again = error instanceof UploadError && LATER.has(error.status);
        if (!again || tried >= this.tries) throw error;
        onwait?.();
        if (!navigator.onLine) tried = 0;
        await pause(this.pause * 2 ** tried, signal);
      }
    }
  }
}

/** Wait for `time` milliseconds, or until the browser is online again. */
function pause(time, signal) {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal?.removeEventListener("abort", over);
      if (signal?.aborted) reject(new DOMException("Cancelled", "AbortError"));
      else resolve();
    };
    const timer = setTimeout(over, time);
    addEventListener("online", over);
    signal?.addEventListener("abort", over);
  });
}
