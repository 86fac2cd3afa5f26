// What a person would see of the inputs of a page: what is cut, and edges that are too faint.

const shown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
const inputs = () => [...document.querySelectorAll(".stored-object.is-live")].filter(shown);

/** Return controls that stick out of their input or are cut, and inputs that stick out. */
function cut() {
  return inputs().flatMap((input) => {
    const [own, around] = [input, input.parentElement].map((one) => one.getBoundingClientRect());
    const controls = [...input.querySelectorAll("button, label, a, [data-call]")].filter(shown);
    const bad = controls.filter((control) => {
      const isCut = control.clientWidth && control.scrollWidth > control.clientWidth + 1;
      return isCut || control.getBoundingClientRect().right > own.right + 1;
    });
    const said = bad.map((control) => `cut: ${control.outerHTML}`);
    return own.right > around.right + 1 ? [...said, `too wide: ${input.className}`] : said;
  });
}

/** Return the relative luminance (WCAG 2.2) of colours on top of each other, on white. */
function luminance(colours) {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  for (const colour of ["white", ...colours]) {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
  }
  const linear = (part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(linear);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Return what has an edge of less than 3:1 to what is around it. */
function faint() {
  const edged = "[data-drop], .stored-object-card, .stored-object-button:not([aria-disabled=true])";
  return inputs().flatMap((input) => [...input.querySelectorAll(edged)]).filter(shown).flatMap((element) => {
    const grounds = [];
    for (let one = element; one; one = one.parentElement) grounds.unshift(getComputedStyle(one).backgroundColor);
    const behind = luminance(grounds.slice(0, -1));
    const edge = luminance([...grounds, getComputedStyle(element).borderTopColor]);
    const contrast = (Math.max(edge, behind) + 0.05) / (Math.min(edge, behind) + 0.05);
    return contrast < 3 ? [`faint, ${contrast.toFixed(1)}: ${element.className}`] : [];
  });
}
