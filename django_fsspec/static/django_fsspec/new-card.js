// The card of a new file: its name, size and icon, and a thumbnail of an image.

/** Characters that change the text direction, and control characters: as on the server. */
const DECEPTIVE = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
/** Icons by content type, as on the cards of the server. */
const ICONS = [
  ["image", /^(?:image\/)/],
  ["audio", /^(?:audio\/)/],
  ["video", /^(?:video\/)/],
  ["archive", /^(?:application\/(.*zip|.*tar|.*rar|.*7z.*|gzip|.*compress.*)$)/],
  ["text", /^(?:text\/|application\/(pdf|json|msword|rtf|.*document.*|.*sheet.*))/],
];
/** Bytes; larger images get no thumbnail. */
const MAX_DECODED = 30_000_000;

/** Return a name as pages show it. */
export const shownName = (name) => name.replace(DECEPTIVE, "\ufffd").replace(CONTROL, "\ufffd");

/** Show a file on a card, which is a copy of the empty one; `size` is in words. */
export function fillCard(card, file, size) {
  const name = shownName(file.name);
  card.dataset.label = name;
  card.querySelector("[data-name]").textContent = name;
  card.querySelector("[data-size]").textContent = size;
  for (const of of card.querySelectorAll("[data-of]")) of.textContent = ` ${name}`;
  const icon = ICONS.find(([, pattern]) => pattern.test(file.type))?.[0] ?? "file";
  card.querySelector(`[data-icon="${icon}"]`).removeAttribute("hidden");
  if (icon === "image" && file.size < MAX_DECODED) draw(file, card.querySelector(".stored-object-tile"));
}

/** Draw a thumbnail on a canvas, which needs no `blob:` in the Content-Security-Policy. */
async function draw(file, tile) {
  try {
    const size = { resizeWidth: 160, resizeQuality: "medium" };
    const picture = await createImageBitmap(file, size);
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    tile.append(canvas);
  } catch {
    // not an image: the server refuses it
  }
}
