// Draws the boxes in view on a canvas over the slide: as boxes where they can be told apart, else as dots.

import { ACCEPTED, NORMAL, POSITIVE, REJECTED, REVIEWED } from "./cells.js";

const LEAST_SIDE = 6; // a box smaller than this on the screen is a dot
const MOST_BOXES = 5000; // more boxes than this in view are dots too
const MOST_MOVING = 200000; // while the view moves, only this many are drawn, those with the highest scores
const BADGE_SIDE = 22; // a box at least this large on the screen has a badge that shows its verdict
const REGIONS = {
  [REVIEWED]: ["#1f78b4", "Looked through"],
  [NORMAL]: ["#33a02c", "No cells"],
  [POSITIVE]: ["#b35900", "All cells marked"],
};
const BADGES = { accepted: "#1a7f37", rejected: "#565d68", added: "#1557b0" };
const DOTS = { accepted: 0xff377f1a, rejected: 0xff685d56, added: 0xffb05715 }; // the same, as bytes of A, B, G, R
const HALO = "rgba(255,255,255,0.8)";

export class Drawing {
  constructor(canvas, cells, colours) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.cells = cells;
    this.colours = colours; // [r, g, b] by label
    this.dots = null; // an image of the canvas's size, made when dots are first needed
    this.hidden = false;
  }

  // view: left and top of the canvas in level-0 pixels, CSS pixels per level-0 pixel, and whether the view is moving.
  draw(view, selected, draft) {
    const density = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    const [columns, rows] = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== columns || this.canvas.height !== rows) {
      [this.canvas.width, this.canvas.height] = [columns, rows];
    }
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, columns, rows);
    if (!this.hidden) {
      const regions = this.cells.regions();
      const shown = this.#shown(view, width, height);
      const asDots = this.usualSide * view.scale < LEAST_SIDE || shown.length > MOST_BOXES;
      if (asDots) this.#drawDots(shown, view, density);
      context.setTransform(density, 0, 0, density, 0, 0);
      for (const region of regions) this.#drawRegion(region, view);
      const badges = asDots ? [] : this.#drawBoxes(shown, view);
      if (selected !== null) this.#drawSelected(this.#onScreen(this.cells.box(selected), view));
      for (const badge of badges) this.#drawBadge(...badge);
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    if (draft?.box) this.#drawDraftBox(this.#onScreen(draft.box, view));
    if (draft?.outline) this.#drawDraftOutline(draft, view, [width / 2, height / 2]);
  }

  #shown(view, width, height) {
    this.usualSide ??= this.cells.usualSide();
    const { left, top, scale } = view;
    const most = view.isMoving ? MOST_MOVING : Infinity;
    return this.cells.within(left, top, left + width / scale, top + height / scale, most);
  }

  #onScreen(box, view) {
    const { left, top, scale } = view;
    return [(box[0] - left) * scale, (box[1] - top) * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale];
  }

  // All dots are set in one image, which takes less than a tenth of a second for a million.
  #drawDots(shown, view, density) {
    const { width, height } = this.canvas;
    if (!width || !height) return;
    if (!this.dots || this.dots.width !== width || this.dots.height !== height) {
      this.dots = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.dots.data.buffer);
    }
    this.pixels.fill(0);
    const inks = this.colours.map(([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    const side = Math.round((shown.length > 50000 ? 2 : 4) * density);
    const marked = []; // drawn last and larger, so that what is decided is seen among what is not
    const factor = view.scale * density;
    const { pixels, cells } = this;
    const { boxes, labels, verdicts, count } = cells;
    // A dot's corner is ((x0 + x1) / 2 - view.left) * factor - side / 2; the halves are taken out of the loop.
    const [left, top] = [view.left * 2 + side / factor, view.top * 2 + side / factor];
    const half = factor / 2;
    for (let index = 0; index < shown.length; index++) {
      const number = shown[index];
      // The arrays of detections are read directly: a method call for each of a million dots takes too long.
      const isDetection = number < count;
      const box = isDetection ? boxes : cells.box(number);
      const at = isDetection ? 4 * number : 0;
      const x = ((box[at] + box[at + 2] - left) * half) | 0;
      const y = ((box[at + 1] + box[at + 3] - top) * half) | 0;
      if (x < 0 || y < 0 || x > width - side || y > height - side) continue; // a dot at the very edge
      if (!isDetection || verdicts[number]) {
        marked.push([x, y, number]);
        continue;
      }
      const ink = inks[labels[number]];
      for (let row = y * width + x, end = row + side * width; row < end; row += width) {
        for (let step = 0; step < side; step++) pixels[row + step] = ink;
      }
    }
    for (const [x, y, number] of marked) this.#drawMarkedDot(x, y, side, cells.state(number));
    this.context.putImageData(this.dots, 0, 0);
  }

  #drawMarkedDot(x, y, side, state) {
    const { width, height } = this.canvas;
    const rim = Math.max(1, side >> 2); // white, so that the dot is seen on tissue of any colour
    for (let row = Math.max(y - rim, 0); row < Math.min(y + side + rim, height); row++) {
      for (let column = Math.max(x - rim, 0); column < Math.min(x + side + rim, width); column++) {
        const isInside = row >= y && row < y + side && column >= x && column < x + side;
        this.pixels[row * width + column] = isInside ? DOTS[state] : 0xffffffff;
      }
    }
  }

  // Returns the position and kind of each badge, to be drawn last, over all boxes.
  #drawBoxes(shown, view) {
    const context = this.context;
    const inks = this.colours.map((colour) => `rgb(${colour.join(",")})`);
    const badges = [];
    context.lineJoin = "miter"; // browsers draw rectangles with this join fastest
    for (const number of shown) {
      const verdict = this.cells.verdict(number);
      const [x, y, width, height] = this.#onScreen(this.cells.box(number), view);
      const line = verdict === ACCEPTED ? 3.5 : 2;
      context.strokeStyle = HALO;
      context.lineWidth = line + 2;
      context.strokeRect(x, y, width, height);
      const state = this.cells.state(number);
      context.strokeStyle = BADGES[state] ?? inks[this.cells.label(number)];
      context.lineWidth = line;
      if (verdict === REJECTED) context.setLineDash([5, 4]);
      context.strokeRect(x, y, width, height);
      if (verdict === REJECTED) context.setLineDash([]);
      if (verdict && Math.min(width, height) >= BADGE_SIDE) badges.push([x + width, y, state]);
    }
    return badges;
  }

  #drawRegion({ box, verdict, outline }, view) {
    const context = this.context;
    const [x, y, width, height] = this.#onScreen(box, view);
    const [colour, name] = REGIONS[verdict];
    context.setLineDash([14, 6]);
    this.#trace(outline, view);
    for (const [ink, line] of [[HALO, 6], [colour, 3]]) {
      context.strokeStyle = ink;
      context.lineWidth = line;
      if (outline.length) context.stroke();
      else context.strokeRect(x, y, width, height);
    }
    context.setLineDash([]);
    context.font = "600 12px system-ui, sans-serif";
    const wide = context.measureText(name).width + 10;
    if (width < wide || height < 24) return;
    context.fillStyle = "#fff";
    context.fillRect(x, y, wide, 18);
    context.fillStyle = "#1c2330";
    context.fillText(name, x + 5, y + 13);
  }

  // Makes an outline the path that is drawn next.
  #trace(outline, { left, top, scale }, isClosed = true) {
    const context = this.context;
    context.beginPath();
    for (let at = 0; at < outline.length; at += 2) {
      context.lineTo((outline[at] - left) * scale, (outline[at + 1] - top) * scale);
    }
    if (isClosed && outline.length) context.closePath();
  }

  #drawBadge(x, y, kind) {
    const context = this.context;
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.fillStyle = BADGES[kind];
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#fff";
    context.stroke();
    context.beginPath();
    if (kind === "accepted") {
      context.moveTo(x - 3.5, y + 0.5);
      context.lineTo(x - 1, y + 3);
      context.lineTo(x + 3.5, y - 2.5);
    } else {
      const [dx, dy] = kind === "added" ? [4, 0] : [3, 3];
      context.moveTo(x - dx, y - dy);
      context.lineTo(x + dx, y + dy);
      context.moveTo(x - dy, y + dx);
      context.lineTo(x + dy, y - dx);
    }
    context.lineWidth = 2;
    context.stroke();
  }

  // Four corners around the selected box, at a distance that grows where the box is small.
  #drawSelected([x, y, width, height]) {
    const context = this.context;
    const grown = Math.max(6, (16 - Math.min(width, height)) / 2);
    const [x0, y0, x1, y1] = [x - grown, y - grown, x + width + grown, y + height + grown];
    const arm = Math.max(6, Math.min(x1 - x0, y1 - y0) / 4);
    context.beginPath();
    for (const [cx, cy, sx, sy] of [[x0, y0, 1, 1], [x1, y0, -1, 1], [x1, y1, -1, -1], [x0, y1, 1, -1]]) {
      context.moveTo(cx + sx * arm, cy);
      context.lineTo(cx, cy);
      context.lineTo(cx, cy + sy * arm);
    }
    for (const [colour, line] of [["#fff", 6], ["#111", 3]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
  }

  #drawDraftOutline({ outline, isByHand }, view, [middleX, middleY]) {
    const context = this.context;
    context.lineJoin = "round";
    this.#trace(outline, view);
    context.fillStyle = "rgba(21,87,176,0.15)";
    context.fill();
    this.#trace(outline, view, false);
    for (const [ink, line] of [[HALO, 5], [BADGES.added, 2]]) {
      context.strokeStyle = ink;
      context.lineWidth = line;
      context.stroke();
    }
    if (isByHand) return;
    context.fillStyle = BADGES.added;
    for (let at = 0; at < outline.length; at += 2) {
      const side = at ? 6 : 10; // the first corner, at which a click closes the outline, is larger
      const [x, y] = [(outline[at] - view.left) * view.scale, (outline[at + 1] - view.top) * view.scale];
      context.fillRect(x - side / 2, y - side / 2, side, side);
    }
    context.beginPath(); // a cross in the middle, where x sets a corner
    for (const [dx, dy] of [[12, 0], [0, 12]]) {
      context.moveTo(middleX - dx, middleY - dy);
      context.lineTo(middleX + dx, middleY + dy);
    }
    for (const [ink, line] of [[HALO, 5], [BADGES.added, 2]]) {
      context.strokeStyle = ink;
      context.lineWidth = line;
      context.stroke();
    }
  }

  #drawDraftBox([x, y, width, height]) {
    const context = this.context;
    context.strokeStyle = BADGES.added;
    context.fillStyle = "rgba(21,87,176,0.15)";
    context.lineWidth = 2;
    context.fillRect(x, y, width, height);
    context.strokeRect(x, y, width, height);
  }
}
