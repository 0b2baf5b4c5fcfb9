// Places of a slide, as the part of an address behind # names them: n=7 is a box, and x=1200&y=800&um=450 a square of
// so many µm around a point, whose x and y are in level-0 pixels.

import { hashValues, isInWorkspace } from "./page.js";

const USUAL_UM = 200;
const [LEAST_UM, MOST_UM] = [5, 1e6];

// The place in the address of the page: { number }, or { x, y, um }; null if there is none.
export function placeInAddress() {
  const values = hashValues();
  const [number, x, y, um] = ["n", "x", "y", "um"].map((name) => (values.has(name) ? Number(values.get(name)) : NaN));
  if (Number.isInteger(number)) return { number };
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  return { x, y, um: um > 0 ? Math.min(Math.max(um, LEAST_UM), MOST_UM) : USUAL_UM };
}

// The address of a place of a slide. In a folder of results it has the slide's name, which stays the same.
export function addressOf(name, { x, y, um }) {
  const path = isInWorkspace() ? `/named/${name.split("/").map(encodeURIComponent).join("/")}` : "/";
  return `${location.origin}${path}#x=${Math.round(x)}&y=${Math.round(y)}&um=${Math.round(um)}`;
}
