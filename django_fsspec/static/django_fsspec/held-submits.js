// A form that is submitted before its uploads are done: the submit is held, and repeated then.
// Who sends the form stays the page's choice: the browser, htmx, Turbo, fetch.

/** Milliseconds until controls work again where a submit led to no other page, as a download does. */
const PATIENCE = 30_000;
/** Milliseconds in which a form that was sent is not sent once more, by a second click. */
const TWICE = 3_000;

const held = new WeakSet();
const sent = new WeakSet();

/**
 * Hold submits of forms until their uploads are done.
 *
 * `inputsOf(form)` returns its inputs. Each has `busy`, whether uploads are to be waited for;
 * `settle()`, which resolves with true once all are done and with false where one failed or was
 * cancelled; and `freeze(frozen)`, which has its controls do nothing.
 */
export function holdSubmits(inputsOf) {
  // the window's capture phase: before anybody's listener
  addEventListener("submit", (event) => onSubmit(event, inputsOf(event.target)), true);
  addEventListener("pageshow", () => {
    const inputs = inputsOf(document);
    freeze(inputs, false);
    for (const input of inputs) sent.delete(input.input.form);
  });
}

function onSubmit(event, inputs) {
  if (!inputs.length) return;
  const form = event.target;
  if (held.has(form) || sent.has(form) || inputs.some((input) => input.busy)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!held.has(form) && !sent.has(form)) hold(form, event.submitter, inputs);
    return;
  }
  // what is shown is what is sent, until the next page is there
  setTimeout(() => {
    const target = event.submitter?.getAttribute("formtarget") || form.getAttribute("target");
    if (event.defaultPrevented || (target && target !== "_self")) return;
    freeze(inputs, true);
    sent.add(form);
    setTimeout(() => sent.delete(form), TWICE);
    setTimeout(() => held.has(form) || freeze(inputs, false), PATIENCE);
  });
}

async function hold(form, submitter, inputs) {
  held.add(form);
  freeze(inputs, true);
  const done = await Promise.all(inputs.map((input) => input.settle()));
  held.delete(form);
  freeze(inputs, false);
  if (!done.every(Boolean) || !form.isConnected) return;
  const usable = submitter?.isConnected && submitter.form === form ? submitter : null;
  // pages disable a button when it is clicked, and a disabled one is not sent
  const disabled = usable?.disabled;
  if (disabled) usable.disabled = false;
  form.requestSubmit(usable);
  if (disabled) usable.disabled = true;
}

function freeze(inputs, frozen) {
  for (const input of inputs) input.freeze(frozen);
}
