// SHA-256 of files of any size (FIPS 180-4). crypto.subtle wants all bytes at once, and https.
// Not in a worker: pages would have to allow one by their Content-Security-Policy.

/** Bytes hashed at a time, in some milliseconds. */
const STEP = 512 * 1024;

const fraction = (number) => ((number - Math.floor(number)) * 2 ** 32) | 0;
const primes = [];
for (let number = 2; primes.length < 64; number += 1) {
  if (primes.every((prime) => number % prime)) primes.push(number);
}
const FIRST = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const K = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));

/** A SHA-256 of bytes that come in pieces. */
export class Sha256 {
  #state = Int32Array.from(FIRST);
  #words = new Int32Array(64);
  #rest = new Uint8Array(64);
  #length = 0;

  update(bytes) {
    let taken = 0;
    const kept = this.#length % 64;
    this.#length += bytes.length;
    if (kept) {
      taken = Math.min(64 - kept, bytes.length);
      this.#rest.set(bytes.subarray(0, taken), kept);
      if (kept + taken < 64) return this;
      this.#blocks(this.#rest);
    }
    const whole = taken + Math.floor((bytes.length - taken) / 64) * 64;
    this.#blocks(bytes.subarray(taken, whole));
    this.#rest.set(bytes.subarray(whole));
    return this;
  }

  /** Return the digest in hexadecimal; nothing can be added after that. */
  hex() {
    const length = this.#length;
    const end = new Uint8Array(64 - ((length + 8) % 64) + 8);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(length / 2 ** 29));
    view.setUint32(end.length - 4, (length * 8) % 2 ** 32);
    this.update(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #blocks(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const w = this.#words;
    for (let at = 0; at < bytes.length; at += 64) {
      for (let i = 0; i < 16; i += 1) w[i] = view.getInt32(at + i * 4);
      for (let i = 16; i < 64; i += 1) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
      }
      this.#round(w);
    }
  }

  #round(w) {
    const state = this.#state;
    // written out: this runs for each 64 bytes
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < 64; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

/** Resolve with the SHA-256 of a file in hexadecimal; "" where it can't be read, or is cancelled. */
export async function sha256(file, signal) {
  const sum = new Sha256();
  try {
    for (let at = 0; at < file.size; at += STEP) {
      if (signal?.aborted) return "";
      sum.update(new Uint8Array(await file.slice(at, at + STEP).arrayBuffer()));
    }
  } catch {
    return ""; // sending it tells why
  }
  return sum.hex();
}
