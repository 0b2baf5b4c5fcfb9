// The data of the page: detections by falling score, marks, and which boxes are shown.

import { distanceTo } from "./outlines.js";

export const ACCEPTED = 1;
export const REJECTED = 2;
export const REVIEWED = 3;
export const NORMAL = 4;
export const POSITIVE = 5;
const VERDICTS = { accepted: ACCEPTED, rejected: REJECTED, reviewed: REVIEWED, normal: NORMAL, positive: POSITIVE };
const ROUNDING = 1e-6; // a score of 0.35 as a 32-bit float is a little less than the threshold 0.35

export class Cells {
  constructor(count, classes, buffer) {
    this.count = count;
    this.classes = classes;
    this.boxes = new Float32Array(buffer, 0, 4 * count); // x0, y0, x1, y1, level-0 pixels
    this.scores = new Float32Array(buffer, 16 * count, count);
    this.labels = new Uint8Array(buffer, 20 * count, count);
    this.detected = this.labels.slice(); // the labels that the model gave
    this.verdicts = new Uint8Array(count);
    this.others = new Map(); // marks of cells and regions that are not detections of this run, by number
    this.markedDetections = new Set(); // numbers of the detections that have a mark
    this.hidden = new Uint8Array(256); // 1 for a hidden class, by label
    this.cutoff = count; // number of detections that reach the threshold, which are the first ones
    this.showRejected = true;
    this.marked = { accepted: 0, rejected: 0, added: 0, regions: 0 };
  }

  has(number) {
    return number < this.count || this.others.has(number);
  }

  box(number) {
    return number < this.count ? this.boxes.subarray(4 * number, 4 * number + 4) : this.others.get(number).box;
  }

  score(number) {
    return number < this.count ? this.scores[number] : this.others.get(number).score;
  }

  label(number) {
    return number < this.count ? this.labels[number] : this.others.get(number).label;
  }

  verdict(number) {
    return number < this.count ? this.verdicts[number] : VERDICTS[this.others.get(number).verdict];
  }

  setThreshold(threshold) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.scores[middle] >= threshold - ROUNDING) low = middle + 1;
      else high = middle;
    }
    this.cutoff = low;
  }

  isRegion(number) {
    return number >= this.count && this.verdict(number) >= REVIEWED;
  }

  // The regions: numbers, boxes, verdicts, and the outlines of those that do not fill their boxes.
  regions() {
    return [...this.others.keys()]
      .filter((number) => this.isRegion(number))
      .map((number) => ({
        number, box: this.box(number), verdict: this.verdict(number), outline: this.others.get(number).outline ?? [],
      }));
  }

  clearMarks() {
    for (const number of [...this.markedDetections, ...this.others.keys()]) this.setMark(number, null);
  }

  // What a person said of a box, in a word.
  state(number) {
    const verdict = this.verdict(number);
    if (verdict === ACCEPTED && number >= this.count) return "added";
    return { [ACCEPTED]: "accepted", [REJECTED]: "rejected" }[verdict] ?? "to review";
  }

  // Sets the mark of a box; null removes it.
  setMark(number, mark) {
    this.#count(number, -1);
    if (number < this.count) {
      this.verdicts[number] = mark ? VERDICTS[mark.verdict] : 0;
      this.labels[number] = mark?.verdict === "accepted" ? mark.label : this.detected[number];
      if (mark) this.markedDetections.add(number);
      else this.markedDetections.delete(number);
    } else if (mark) this.others.set(number, mark);
    else this.others.delete(number);
    this.#count(number, 1);
  }

  #count(number, change) {
    if (!this.has(number)) return;
    const verdict = this.verdict(number);
    if (this.isRegion(number)) this.marked.regions += change;
    else if (verdict === REJECTED) this.marked.rejected += change;
    else if (number >= this.count) this.marked.added += change;
    else if (verdict === ACCEPTED) this.marked.accepted += change;
  }

  // Marked boxes are shown whatever the threshold.
  isShown(number) {
    if (this.hidden[this.label(number)]) return false;
    const verdict = this.verdict(number);
    if (verdict === REJECTED) return this.showRejected;
    return number < this.cutoff || verdict === ACCEPTED;
  }

  // The numbers of the shown boxes that lie at least partly in a rectangle; of detections above the threshold at most
  // so many, those with the highest scores. The next call overwrites the array. It loops over all detections, which
  // takes a few milliseconds for a million.
  within(x0, y0, x1, y1, atMost = Infinity) {
    const { boxes, labels, verdicts, hidden, cutoff, showRejected } = this;
    const room = this.count + this.others.size;
    if (!this.numbers || this.numbers.length < room) this.numbers = new Int32Array(room + 1000);
    const numbers = this.numbers;
    let size = 0;
    for (let number = 0, at = 0; number < cutoff && size < atMost; number++, at += 4) {
      if (boxes[at] > x1 || boxes[at + 2] < x0 || boxes[at + 1] > y1 || boxes[at + 3] < y0) continue;
      if (hidden[labels[number]] || (verdicts[number] === REJECTED && !showRejected)) continue;
      numbers[size++] = number;
    }
    const take = (number) => {
      const box = this.box(number);
      if (box[0] > x1 || box[2] < x0 || box[1] > y1 || box[3] < y0 || !this.isShown(number)) return;
      numbers[size++] = number;
    };
    for (const number of this.markedDetections) if (number >= cutoff) take(number);
    for (const number of this.others.keys()) if (!this.isRegion(number)) take(number);
    return numbers.subarray(0, size);
  }

  // The smallest shown box at a point, or a region whose outline is there, or null.
  at(x, y, slack) {
    let best = null;
    let bestArea = Infinity;
    for (const number of this.within(x - slack, y - slack, x + slack, y + slack)) {
      const [x0, y0, x1, y1] = this.box(number);
      const area = (x1 - x0) * (y1 - y0);
      if (area < bestArea) [best, bestArea] = [number, area];
    }
    return best ?? this.#regionAt(x, y, slack);
  }

  #regionAt(x, y, slack) {
    const outlineOf = ({ box: [x0, y0, x1, y1], outline }) =>
      outline.length ? outline : [x0, y0, x1, y0, x1, y1, x0, y1];
    return this.regions().findLast((region) => distanceTo(outlineOf(region), x, y) <= slack)?.number ?? null;
  }

  // The next detection in an order: "sure" from the highest score down, "doubt" from the threshold up. `step` is 1 or
  // -1; `open` skips marked ones. Null at the end.
  next(from, order, step, open) {
    const direction = order === "sure" ? step : -step;
    let number = from;
    if (number === null || number >= this.cutoff) number = direction > 0 ? -1 : this.cutoff;
    for (number += direction; number >= 0 && number < this.cutoff; number += direction) {
      if (this.hidden[this.labels[number]] || (open && this.verdicts[number])) continue;
      if (this.verdicts[number] === REJECTED && !this.showRejected) continue;
      return number;
    }
    return null;
  }

  // Numbers of detections that reach the threshold: by class; of the shown classes; and of these, without a mark.
  counts() {
    const { cutoff, labels, verdicts, hidden } = this;
    const byClass = new Array(this.classes).fill(0);
    let shown = 0;
    let open = 0;
    for (let number = 0; number < cutoff; number++) {
      const label = labels[number];
      byClass[label]++;
      if (hidden[label]) continue;
      shown++;
      if (!verdicts[number]) open++;
    }
    return { byClass, shown, open };
  }

  // The detections that reach the threshold, of the shown classes and in a state, by falling score: at most `most`.
  listed(state, most) {
    const numbers = [];
    for (let number = 0; number < this.cutoff && numbers.length < most; number++) {
      if (this.hidden[this.labels[number]]) continue;
      if (state === "all" || this.state(number) === state) numbers.push(number);
    }
    return numbers;
  }

  // Side of a usual box: the median over the first thousand detections.
  usualSide() {
    const sides = [];
    for (let number = 0; number < Math.min(this.count, 1001); number++) {
      const [x0, y0, x1, y1] = this.box(number);
      sides.push((x1 - x0 + y1 - y0) / 2);
    }
    sides.sort((a, b) => a - b);
    return sides.length ? sides[sides.length >> 1] : 60;
  }
}
