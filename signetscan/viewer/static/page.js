// What all pages share: finding elements, asking the server, messages, and the order of slides in the work list.

export const $ = (id) => document.getElementById(id);

const ORDER = "signetscan-order"; // numbers of the slides as the work list shows them, for "next slide"

// An element with some properties and children. Texts come from strangers, so they are set as text only.
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export async function fetched(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error((await reply.text()).trim());
  return reply;
}

export async function posted(path, body) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw new Error((await reply.text()).trim());
  return reply.json();
}

// From now on the cookie holds the token, which should not stay in the history.
export function hideToken() {
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
}

// Whether the page is of one slide of a folder, which has a work list.
export function isInWorkspace() {
  return location.pathname.startsWith("/slide/");
}

export function keepOrder(numbers) {
  sessionStorage.setItem(ORDER, JSON.stringify(numbers));
}

// The address of the slide after or before this one in the work list, or null at its ends.
export function neighbour(step) {
  const numbers = JSON.parse(sessionStorage.getItem(ORDER) ?? "[]");
  const place = numbers.indexOf(Number(location.pathname.split("/")[2]));
  const number = place < 0 ? undefined : numbers[place + step];
  return number === undefined ? null : `/slide/${number}/`;
}

// The values behind # in an address.
export function hashValues() {
  return new URLSearchParams(location.hash.slice(1));
}

let messageTimer = 0;

// Shows a message; one about a problem stays until the next.
export function say(text, bad = false) {
  $("message").textContent = text;
  $("message").className = bad ? "bad" : "";
  clearTimeout(messageTimer);
  if (!bad && text) messageTimer = setTimeout(() => ($("message").textContent = ""), 1500 + 35 * text.length);
}

// Whether a key is for the field that has the focus.
export function isForField({ target, key }) {
  if (target instanceof HTMLSelectElement) return true;
  if (!(target instanceof HTMLInputElement)) return false;
  return target.type === "text" || target.type === "search" || key.startsWith("Arrow");
}
