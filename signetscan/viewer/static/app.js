// The page: a slide, its detections, and a reviewer's marks. Names come from strangers, so they are set as text only.

import { ACCEPTED, Cells, REJECTED, REVIEWED } from "./cells.js";
import { Drawing } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const CLOSE_UM = 100; // side of the area shown around a visited cell
const ANIMATED = !matchMedia("(prefers-reduced-motion: reduce)").matches;
const STEP = 0.01;

let facts, cells, viewer, drawing;
let selected = null; // number of a box
let drawn = null; // what a dragged box will be: "add" (a cell), "reviewed" or "normal" (a region)
let dragged = null; // a box that is being drawn: the points where it began and where the pointer is
let turns = Promise.resolve(); // a reviewer's actions run one after the other, however fast they type
let isMoving = false;
let frame = 0; // the animation frame that will draw the overlay; 0 if none is requested
let messageTimer = 0;

async function fetched(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error(await reply.text());
  return reply;
}

async function start() {
  if (location.search) history.replaceState(null, "", location.pathname); // from now on the cookie holds the token
  try {
    const replies = await Promise.all(["slide.json", "detections.bin", "marks.json"].map(fetched));
    facts = await replies[0].json();
    cells = new Cells(facts.detections, facts.classes.length, await replies[1].arrayBuffer());
    const { marks, can_undo: canUndo } = await replies[2].json();
    for (const mark of marks) cells.setMark(mark.number, mark);
    $("undo").disabled = !canUndo;
  } catch (error) {
    $("name").textContent = "Not loaded";
    say(`The slide cannot be shown: ${error.message}`, true);
    return;
  }
  document.title = `${facts.name} - signetscan view`;
  $("name").textContent = facts.name;
  const nothing = facts.detections ? "" : "Nothing was detected, which does not mean that there is no cancer. ";
  $("about").textContent = `${nothing}Model ${facts.model}. What it learnt from: ${facts.learnt_from}`;
  $("saved").textContent = `Marks are saved to ${facts.file} at once.`;
  drawing = new Drawing($("overlay"), cells, facts.classes.map(({ colour }) => colour));
  showSlide();
  listClasses();
  setUpThreshold();
  listen();
  select(null);
  refresh();
}

function showSlide() {
  $("navigator").style.aspectRatio = `${facts.width} / ${facts.height}`;
  viewer = OpenSeadragon({
    element: $("slide"),
    tileSources: {
      width: facts.width,
      height: facts.height,
      tileSize: facts.tile,
      tileOverlap: facts.overlap,
      minLevel: facts.lowest,
      maxLevel: facts.top,
      getTileUrl: (level, column, row) => `tiles/${level}/${column}_${row}.jpg`,
    },
    drawer: "canvas",
    showNavigationControl: false,
    showNavigator: true,
    navigatorId: "navigator",
    maxZoomPixelRatio: 4,
    visibilityRatio: 0.3,
    animationTime: ANIMATED ? 0.4 : 0,
    gestureSettingsMouse: { clickToZoom: false },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsPen: { clickToZoom: false },
  });
  viewer.addHandler("open", () => {
    if (facts.bounds) viewer.viewport.fitBounds(rectangle(...facts.bounds), true);
    redraw();
  });
  viewer.addHandler("update-viewport", redraw);
  viewer.addHandler("animation-start", () => (isMoving = true));
  viewer.addHandler("animation-finish", () => {
    isMoving = false;
    redraw();
  });
  viewer.addHandler("tile-load-failed", () => say("A part of the slide cannot be read.", true));
  viewer.addHandler("canvas-key", (event) => (event.preventDefaultAction = true)); // see onKey
  viewer.addHandler("canvas-click", (event) => {
    if (!event.quick || drawn) return;
    const { x, y } = pointOf(event);
    select(cells.at(x, y, 4 / view().scale));
  });
  viewer.addHandler("canvas-press", (event) => {
    if (drawn || event.originalEvent.shiftKey) dragged = { from: pointOf(event), to: null };
  });
  viewer.addHandler("canvas-drag", (event) => {
    if (!dragged) return;
    event.preventDefaultAction = true;
    dragged.to = pointOf(event);
    redraw();
  });
  viewer.addHandler("canvas-drag-end", (event) => {
    if (dragged) event.preventDefaultAction = true;
  });
  viewer.addHandler("canvas-release", () => {
    const draft = draftBox();
    dragged = null;
    redraw();
    const what = drawn ?? "add";
    if (draft) inTurn(() => add(draft, what));
  });
}

function rectangle(x, y, width, height) {
  return viewer.viewport.imageToViewportRectangle(x, y, width, height);
}

function pointOf(event) {
  return viewer.viewport.viewerElementToImageCoordinates(event.position);
}

// The canvas on the slide: its top left corner in level-0 pixels, and CSS pixels per level-0 pixel.
function view() {
  const corner = viewer.viewport.viewerElementToImageCoordinates(new OpenSeadragon.Point(0, 0));
  const across = viewer.viewport.viewerElementToImageCoordinates(new OpenSeadragon.Point(1000, 0));
  return { left: corner.x, top: corner.y, scale: 1000 / (across.x - corner.x) };
}

function draftBox() {
  if (!dragged?.to) return null;
  const { from, to } = dragged;
  return [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)];
}

function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    if (!viewer.world.getItemCount()) return;
    const shown = view();
    drawing.draw({ ...shown, isMoving }, selected, draftBox());
    drawScale(shown.scale);
    document.body.dataset.drawnAfterMs ??= Math.round(performance.now());
  });
}

// A bar of 1, 2 or 5 times a power of ten µm, the longest that fits into 140 px.
function drawScale(scale) {
  const longest = (140 / scale) * facts.mpp;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].find((times) => times * power <= longest) * power;
  $("scale-text").textContent = length >= 1000 ? `${length / 1000} mm` : `${+length.toPrecision(1)} \u00b5m`;
  $("scale-bar").style.width = `${((length / facts.mpp) * scale).toFixed(1)}px`;
}

function listClasses() {
  $("classes-part").hidden = facts.classes.length < 2;
  facts.classes.forEach(({ name, colour }, label) => {
    const [box, swatch, text, number] = ["input", "i", "span", "span"].map((tag) => document.createElement(tag));
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      cells.hidden[label] = box.checked ? 0 : 1;
      refresh();
    });
    swatch.className = "swatch";
    swatch.style.borderColor = `rgb(${colour.join(",")})`;
    text.className = "name";
    text.textContent = name;
    number.className = "number";
    const row = document.createElement("label");
    row.append(box, swatch, text, number);
    if (facts.classes.length > 1) {
      const pick = document.createElement("input"); // the class of boxes that are added
      Object.assign(pick, { type: "radio", name: "added-class", value: label, checked: label === 0 });
      pick.setAttribute("aria-label", `Added boxes are of the class ${name}`);
      row.append(pick);
    }
    const item = document.createElement("li");
    item.append(row);
    $("classes").append(item);
  });
}

function labelToAdd() {
  return Number(document.querySelector("input[name=added-class]:checked")?.value ?? 0);
}

function setUpThreshold() {
  const lowest = cells.count ? Math.floor(cells.scores[cells.count - 1] / STEP) * STEP : 0;
  const slider = $("threshold");
  slider.min = lowest.toFixed(2);
  slider.max = "1";
  slider.value = slider.min;
  slider.addEventListener("input", applyThreshold);
  applyThreshold();
}

function applyThreshold() {
  cells.setThreshold(Number($("threshold").value));
  $("threshold-text").textContent = Number($("threshold").value).toFixed(2);
  refresh();
}

function moveThreshold(by) {
  $("threshold").value = Number($("threshold").value) + by;
  applyThreshold();
}

function refresh() {
  const { byClass, shown, open } = cells.counts();
  $("done").setAttribute("aria-pressed", String(wholeRegion() !== undefined));
  Object.entries({ shown, open, ...cells.marked }).forEach(([name, number]) => {
    $(`count-${name}`).textContent = number.toLocaleString("en");
  });
  document.querySelectorAll("#classes .number").forEach((element, label) => {
    element.textContent = byClass[label].toLocaleString("en");
  });
  describe();
  redraw();
}

function describe() {
  $("accept").disabled = $("reject").disabled = selected === null;
  if (selected === null) {
    $("selected").textContent = "No cell is selected: press n, or click a box.";
    return;
  }
  const [x0, y0, x1, y1] = cells.box(selected);
  const size = [x1 - x0, y1 - y0].map((side) => (side * facts.mpp).toFixed(1)).join(" \u00d7 ");
  if (cells.isRegion(selected)) {
    const what = cells.verdict(selected) === REVIEWED ? "A region that was looked through" : "A region without cells";
    $("accept").disabled = true;
    $("selected").textContent = `${what}, ${size} \u00b5m`;
    return;
  }
  const score = cells.score(selected);
  const verdict = cells.verdict(selected);
  const isAdded = selected >= cells.count && verdict === ACCEPTED;
  const state = isAdded ? "added" : { [ACCEPTED]: "accepted", [REJECTED]: "rejected" }[verdict] ?? "to review";
  const parts = [facts.classes[cells.label(selected)].name];
  if (typeof score === "number") parts.push(`score ${score.toFixed(2)}`);
  parts.push(`${size} \u00b5m`, state);
  $("selected").textContent = parts.join(", ");
}

function select(number) {
  selected = number;
  describe();
  redraw();
}

// Selects a box and moves the view to it; zooms only if the cell would be too small or too large to judge.
function visit(number) {
  const [x0, y0, x1, y1] = cells.box(number);
  const side = Math.max(CLOSE_UM / facts.mpp, 3 * Math.max(x1 - x0, y1 - y0));
  const shownSide = Math.min($("overlay").clientWidth, $("overlay").clientHeight) / view().scale;
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  if (shownSide > 4 * side || shownSide < side / 2) {
    viewer.viewport.fitBounds(rectangle(x - side / 2, y - side / 2, side, side), !ANIMATED);
  } else {
    viewer.viewport.panTo(viewer.viewport.imageToViewportCoordinates(x, y), !ANIMATED);
  }
  select(number);
}

function go(step, open = false) {
  const number = cells.next(selected, $("order").value, step, open);
  if (number !== null) visit(number);
  else if (open) say("There are no more cells to review in this order.");
  else say(step > 0 ? "This is the last cell." : "This is the first cell.");
}

// Shows a message; one about a problem stays until the next.
function say(text, bad = false) {
  $("message").textContent = text;
  $("message").className = bad ? "bad" : "";
  clearTimeout(messageTimer);
  if (!bad) messageTimer = setTimeout(() => ($("message").textContent = ""), 2500);
}

// Sends a change and applies the answer, which it returns, or null if there was none.
async function send(path, body) {
  try {
    const reply = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!reply.ok) throw new Error(await reply.text());
    return taken(await reply.json());
  } catch (error) {
    return failed(error);
  }
}

function inTurn(action) {
  $("panel").setAttribute("aria-busy", "true");
  const turn = turns.then(action).finally(() => {
    if (turn === turns) $("panel").setAttribute("aria-busy", "false");
  });
  turns = turn;
}

function taken(answer) {
  if (answer.number !== null) cells.setMark(answer.number, answer.mark);
  for (const other of answer.others) cells.setMark(other.number, other.mark);
  if (selected !== null && !cells.has(selected)) selected = null;
  $("undo").disabled = !answer.can_undo;
  const time = new Date().toLocaleTimeString();
  $("saved").textContent = answer.problem ? `Not saved: ${answer.problem}` : `Saved to ${facts.file} at ${time}.`;
  $("saved").className = answer.problem ? "bad" : "";
  if (answer.problem) say("The marks are not saved: the panel says why. Press s to try again.", true);
  else if (answer.disputed.length) say("Somebody else has judged this otherwise meanwhile: look again.", true);
  else if (answer.others.length) say(`Somebody else has changed the file: ${answer.others.length} of their marks are shown now.`, true);
  else if ($("message").className === "bad") say("");
  refresh();
  return answer;
}

function failed(error) {
  const isOffline = error instanceof TypeError; // what fetch throws without a connection
  const text = isOffline
    ? "Not saved: signetscan view has ended. Start it again."
    : `The change failed: ${error.message}`;
  $("saved").textContent = text;
  $("saved").className = "bad";
  say(text, true);
  return null;
}

async function mark(action) {
  if (selected === null) return say("Select a cell first: press n, or click a box.");
  if (action === "accept" && cells.isRegion(selected)) return say("A region is no cell.");
  const number = selected;
  const answer = await send("marks", { action, number });
  if (answer && action !== "clear" && number < cells.count && $("go-on").checked && selected === number) go(1, true);
}

async function add(box, what) {
  const answer = await send("marks", { action: what, box, label: labelToAdd() });
  if (answer) select(answer.number);
  if (answer && what === "reviewed") sayOpen();
  setDrawing(null);
}

// What is still undecided, for somebody who says that all was looked at.
function sayOpen() {
  const { open } = cells.counts();
  if (open) say(`${open.toLocaleString("en")} shown detections have no mark: they count neither as cells nor as background.`);
}

// The mark that says that the whole slide was looked through, if there is one.
function wholeRegion() {
  const whole = wholeSlide();
  const isWhole = ({ box, verdict }) => verdict === REVIEWED && box.every((edge, at) => Math.abs(edge - whole[at]) < 0.01);
  return cells.regions().find(isWhole);
}

function wholeSlide() {
  const [x, y, width, height] = facts.bounds ?? [0, 0, facts.width, facts.height];
  return [x, y, x + width, y + height];
}

async function toggleDone() {
  const region = wholeRegion();
  if (region) await send("marks", { action: "clear", number: region.number });
  else if (await send("marks", { action: "reviewed", box: wholeSlide() })) sayOpen();
}

function addInTheView() {
  if (drawn !== "add") {
    const { left, top, scale } = view();
    return add([left, top, left + $("overlay").clientWidth / scale, top + $("overlay").clientHeight / scale], drawn);
  }
  const { x, y } = viewer.viewport.viewportToImageCoordinates(viewer.viewport.getCenter(true));
  const half = cells.usualSide() / 2;
  return add([x - half, y - half, x + half, y + half], "add");
}

async function undo() {
  const answer = await send("marks", { action: "undo" });
  if (!answer) return;
  if (answer.number === null) say("There is nothing to undo.");
  else if (cells.has(answer.number)) visit(answer.number);
}

const DRAWN = {
  add: ["draw", "Drag a box around the cell, or press Enter to add one in the middle of the view."],
  reviewed: ["reviewed", "Drag a box around what you looked through, or press Enter for the whole view."],
  normal: ["normal", "Drag a box around a part without cells, or press Enter for the whole view."],
};

// Begins to draw a cell or a region, or ends it: null, or what is being drawn already.
function setDrawing(what) {
  drawn = what === drawn ? null : what;
  dragged = null;
  for (const [kind, [id]] of Object.entries(DRAWN)) $(id).setAttribute("aria-pressed", String(kind === drawn));
  $("stage").classList.toggle("drawing", drawn !== null);
  if (drawn) say(DRAWN[drawn][1]);
  redraw();
}

function toggleBoxes() {
  drawing.hidden = !drawing.hidden;
  say(drawing.hidden ? "Boxes are hidden: press h to see them." : "");
  redraw();
}

function escape() {
  if (drawn) setDrawing(null);
  else select(null);
}

function pan(x, y) {
  viewer.viewport.panBy(viewer.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(80 * x, 80 * y)));
  viewer.viewport.applyConstraints();
}

function zoom(factor) {
  viewer.viewport.zoomBy(factor);
  viewer.viewport.applyConstraints();
}

const KEYS = {
  n: () => go(1),
  p: () => go(-1),
  a: () => mark("accept"),
  r: () => mark("reject"),
  c: () => mark("clear"),
  u: undo,
  d: () => setDrawing("add"),
  g: () => setDrawing("reviewed"),
  m: () => setDrawing("normal"),
  f: toggleDone,
  s: () => send("save", {}),
  t: () => moveThreshold(STEP),
  T: () => moveThreshold(-STEP),
  h: toggleBoxes,
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: () => viewer.viewport.goHome(),
  "?": () => $("help").showModal(),
  Escape: escape,
};
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
  if (target instanceof HTMLSelectElement) return;
  const isOtherButton = target instanceof HTMLButtonElement && !Object.values(DRAWN).some(([id]) => target === $(id));
  if (key in MOVES && !(target instanceof HTMLInputElement)) pan(...MOVES[key]);
  else if (key === "Enter" && drawn && !isOtherButton) inTurn(addInTheView);
  else if (Object.hasOwn(KEYS, key)) inTurn(KEYS[key]);
  else return;
  event.preventDefault();
}

function listen() {
  document.addEventListener("keydown", onKey, true);
  const buttons = {
    accept: "a", reject: "r", previous: "p", next: "n", draw: "d", undo: "u", save: "s", "help-open": "?",
    reviewed: "g", normal: "m", done: "f",
  };
  for (const [id, key] of Object.entries(buttons)) $(id).addEventListener("click", () => inTurn(KEYS[key]));
  $("show-rejected").addEventListener("change", () => {
    cells.showRejected = $("show-rejected").checked;
    refresh();
  });
  new ResizeObserver(redraw).observe($("stage"));
}

start();
