// Outlines: lists of numbers x0, y0, x1, y1 ..., level-0 pixels, whose last corner is joined to the first.

// The distance of a point from an outline.
export function distanceTo(outline, x, y) {
  let least = Infinity;
  for (let at = 0, last = outline.length - 2; at < outline.length; last = at, at += 2) {
    const part = distanceToLine(x, y, outline[last], outline[last + 1], outline[at], outline[at + 1]);
    least = Math.min(least, part);
  }
  return least;
}

function distanceToLine(x, y, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const square = dx * dx + dy * dy;
  const share = square ? Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / square, 0), 1) : 0;
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}

// An outline with at most so many corners, from which no left out corner is farther than a tolerance, which is as large
// as it must be (Douglas and Peucker).
export function simplified(outline, tolerance, most) {
  let kept = outline;
  for (let allowed = tolerance; kept === outline || kept.length > 2 * most; allowed *= 1.5) {
    kept = withoutNear(outline, allowed);
  }
  return kept;
}

function withoutNear(outline, tolerance) {
  const last = outline.length / 2 - 1;
  const isKept = new Uint8Array(last + 1);
  isKept[0] = isKept[last] = 1;
  const parts = [[0, last]];
  while (parts.length) {
    const [from, to] = parts.pop();
    const ends = [outline[2 * from], outline[2 * from + 1], outline[2 * to], outline[2 * to + 1]];
    let [farthest, most] = [-1, tolerance];
    for (let at = from + 1; at < to; at++) {
      const distance = distanceToLine(outline[2 * at], outline[2 * at + 1], ...ends);
      if (distance > most) [farthest, most] = [at, distance];
    }
    if (farthest < 0) continue;
    isKept[farthest] = 1;
    parts.push([from, farthest], [farthest, to]);
  }
  return outline.filter((_, at) => isKept[at >> 1]);
}
