// What is being drawn on the slide: a cell as a box, or a region as a box or an outline, by mouse, finger or keys.
//
// An outline is drawn by hand (drag, and let go), or set corner by corner (click, or x for the middle of the view).

import { simplified } from "./outlines.js";
import { $, say } from "./page.js";

const KINDS = {
  add: { button: "draw", what: "the cell" },
  reviewed: { button: "reviewed", what: "what you looked through" },
  normal: { button: "normal", what: "a part without cells" },
  positive: { button: "positive", what: "a part whose cells are all marked" },
};
const BY_TOUCH = matchMedia("(pointer: coarse)").matches;
const STEP = 2; // distance of corners that are drawn by hand, CSS pixels
const NEAR = BY_TOUCH ? 22 : 10; // a click this near to the first corner closes the outline, CSS pixels
const TOLERANCE = 0.7; // how far a simplified outline may be from what was drawn, CSS pixels
const MOST_CORNERS = 1000;

export class Drafting {
  kind = null; // what is drawn: "add" (a cell), or "reviewed", "normal" or "positive" (a region)
  #box = null; // a box that is being dragged: where it began, and where the pointer is
  #outline = []; // corners of an outline that is being drawn
  #isByHand = false; // the pointer draws an outline now
  #goesOn = false; // and goes on from corners that were there before
  #isShift = false; // the box is of a cell, whatever else is drawn

  // view(): left and top of what is shown, level-0 pixels, and CSS pixels per level-0 pixel; finish(change): takes
  // what was drawn, as a change of marks; redraw(): called when the draft has changed.
  constructor(viewer, { view, finish, redraw }) {
    this.viewer = viewer;
    this.view = view;
    this.finish = finish;
    this.redraw = redraw;
    viewer.addHandler("canvas-press", (event) => this.#press(event));
    viewer.addHandler("canvas-drag", (event) => this.#drag(event));
    viewer.addHandler("canvas-drag-end", (event) => {
      if (this.#isDrawing) event.preventDefaultAction = true;
    });
    viewer.addHandler("canvas-release", () => this.#release());
    viewer.addHandler("canvas-click", (event) => this.#click(event));
    viewer.addHandler("canvas-double-click", (event) => {
      if (!this.isOutline) return;
      event.preventDefaultAction = true;
      this.close();
    });
    for (const radio of document.querySelectorAll("input[name=shape]")) {
      radio.addEventListener("change", () => this.set(this.kind));
    }
  }

  get isOutline() {
    return this.kind !== null && this.kind !== "add" && document.querySelector("input[name=shape]:checked").value === "outline";
  }

  get #isDrawing() {
    return this.#box !== null || this.#isByHand;
  }

  // What is drawn so far: a box, or an outline and the point at which x sets a corner; null if there is nothing.
  get draft() {
    if (this.#box?.to) return { box: boxBetween(this.#box.from, this.#box.to) };
    return this.isOutline ? { outline: this.#outline, isByHand: this.#isByHand } : null;
  }

  // Whether some kind of thing is what a button draws.
  isButton(target) {
    return Object.values(KINDS).some(({ button }) => target === $(button));
  }

  toggle(kind) {
    this.set(kind === this.kind ? null : kind);
  }

  toggleShape() {
    const other = document.querySelector("input[name=shape]:not(:checked)");
    other.checked = true;
    this.set(this.kind);
    if (this.kind === null) say(other.value === "outline" ? "Regions have outlines now." : "Regions are rectangles now.");
  }

  // Begins to draw, or ends it.
  set(kind) {
    this.kind = kind;
    this.#forget();
    for (const [each, { button }] of Object.entries(KINDS)) $(button).setAttribute("aria-pressed", String(each === kind));
    $("stage").classList.toggle("drawing", kind !== null);
    if (kind !== null) say(this.#hint());
    this.redraw();
  }

  #hint() {
    const { what } = KINDS[this.kind];
    const byKeys = (text) => (BY_TOUCH ? "." : text);
    if (this.kind === "add") return `Drag a box around ${what}${byKeys(", or press Enter to add one in the middle of the view.")}`;
    if (!this.isOutline) return `Drag a box around ${what}${byKeys(", or press Enter for the whole view.")}`;
    const cornerwise = `${BY_TOUCH ? "touch" : "click"} corner by corner, and the first again`;
    return `Draw a line around ${what}, or ${cornerwise}${byKeys(". By keys: x sets a corner in the middle, Enter ends.")}`;
  }

  #forget() {
    [this.#box, this.#outline, this.#isByHand] = [null, [], false];
  }

  // Forgets what is drawn so far. Returns whether there was something.
  cancel() {
    const had = this.#outline.length > 0 || this.#isDrawing;
    this.#forget();
    this.redraw();
    return had;
  }

  // Takes back the last corner. Returns whether there was one.
  takeBack() {
    if (!this.#outline.length) return false;
    this.#outline = this.#outline.slice(0, -2);
    this.redraw();
    return true;
  }

  // Sets a corner in the middle of the view.
  setCorner() {
    if (!this.isOutline) return say("Corners are for regions: press g, m or b, and e for outlines.");
    const { x, y } = this.viewer.viewport.viewportToImageCoordinates(this.viewer.viewport.getCenter(true));
    this.#addCorner(x, y);
    const count = this.#outline.length / 2;
    say(`${count} ${count === 1 ? "corner" : "corners"}${count > 2 ? ": Enter closes the outline." : ""}`);
  }

  #addCorner(x, y) {
    const [lastX, lastY] = this.#outline.slice(-2);
    const isSame = Math.hypot(x - lastX, y - lastY) * this.view().scale < STEP;
    if (!isSame) this.#outline.push(x, y);
    this.redraw();
  }

  // Ends an outline. Returns whether there was one.
  close() {
    const outline = this.#outline;
    if (!this.isOutline || !outline.length) return false;
    if (outline.length < 6) {
      say("An outline has at least three corners.");
      return true;
    }
    const corners = simplified(outline, TOLERANCE / this.view().scale, MOST_CORNERS);
    this.#forget();
    this.redraw();
    this.finish({ action: this.kind, outline: corners.map((value) => Math.round(10 * value) / 10) });
    return true;
  }

  #press(event) {
    this.#isShift = event.originalEvent.shiftKey;
    this.#goesOn = this.#outline.length > 0;
    if (this.#isShift || (this.kind !== null && !this.isOutline)) this.#box = { from: this.#at(event), to: null };
  }

  #drag(event) {
    if (this.#box === null && !this.isOutline) return;
    event.preventDefaultAction = true;
    const point = this.#at(event);
    if (this.#box !== null) this.#box.to = point;
    else {
      this.#isByHand = true;
      this.#addCorner(point.x, point.y);
    }
    this.redraw();
  }

  // A line that was drawn without letting go is an outline; one that goes on from corners is only a part of it.
  #release() {
    const { draft } = this;
    const kind = this.#isShift ? "add" : this.kind;
    const isWhole = this.#isByHand && !this.#goesOn;
    [this.#box, this.#isByHand] = [null, false];
    if (draft?.box) this.finish({ action: kind, box: draft.box });
    else if (isWhole && this.#outline.length >= 6) this.close();
    else if (isWhole) this.#forget();
    this.redraw();
  }

  #click(event) {
    if (!this.isOutline || !event.quick) return;
    const { x, y } = this.#at(event);
    const [firstX, firstY] = this.#outline;
    const isNear = Math.hypot(x - firstX, y - firstY) * this.view().scale < NEAR;
    if (isNear && this.#outline.length >= 6) this.close();
    else this.#addCorner(x, y);
  }

  #at(event) {
    return this.viewer.viewport.viewerElementToImageCoordinates(event.position);
  }
}

function boxBetween(from, to) {
  return [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)];
}
