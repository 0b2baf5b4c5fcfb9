// The page: a slide, its detections, and a reviewer's marks. Names come from strangers, so they are set as text only.

import { NORMAL, POSITIVE, REVIEWED } from "./cells.js";
import { ClassOverlay } from "./class-overlay.js";
import { Drafting } from "./drafting.js";
import { Drawing } from "./drawing.js";
import { Magnification } from "./magnification.js";
import { loadedSlide } from "./marking.js";
import { $, element, hideToken, isForField, isInWorkspace, neighbour, say } from "./page.js";
import { addressOf, placeInAddress } from "./place.js";

const CLOSE_UM = 100; // side of the area shown around a visited cell
const SAME_PX = 1; // a place this near to the middle of a box is the box's, level-0 pixels
const ANIMATED = !matchMedia("(prefers-reduced-motion: reduce)").matches;
const STEP = 0.01;

let facts, cells, viewer, drawing, drafting, marking, magnification, classOverlay;
let selected = null; // number of a box
let turns = Promise.resolve(); // a reviewer's actions run one after the other, however fast they type
let isMoving = false;
let frame = 0; // the animation frame that will draw the overlay; 0 if none is requested

async function start() {
  hideToken();
  showWay();
  try {
    ({ facts, cells, marking } = await loadedSlide({ changed: onMarks, panel: $("panel") }));
  } catch (error) {
    $("name").textContent = "Not loaded";
    say(`The slide cannot be shown: ${error.message}`, true);
    return;
  }
  document.title = `${facts.name} - signetscan view`;
  $("name").textContent = facts.name;
  const isOfCells = facts.classes.length > 0; // else regions alone were looked for
  const nothing = facts.detections || !isOfCells ? "" : "Nothing was detected, which does not mean that there is no cancer. ";
  $("about").textContent = `${nothing}Model ${facts.model}. What it learnt from: ${facts.learnt_from}`;
  $("warnings").textContent = facts.warnings.map((text) => `Warning: ${text}.`).join(" ");
  $("warnings").hidden = !facts.warnings.length;
  const who = facts.reviewer ? ` Reviewer: ${facts.reviewer}.` : "";
  $("saved").textContent = `Marks are saved to ${facts.file} at once.${who}`;
  $("draw").disabled = !isOfCells;
  drawing = new Drawing($("overlay"), cells, facts.classes.map(({ colour }) => colour));
  showSlide();
  magnification = new Magnification(viewer, facts.mpp, ANIMATED);
  listClasses();
  setUpThreshold();
  listen();
  select(null);
  refresh();
  if (facts.segmented) showClasses();
}

// The ways to the work list and to the next slide of it.
function showWay() {
  $("way").hidden = !isInWorkspace();
  const next = isInWorkspace() ? neighbour(1) : null;
  $("to-next").hidden = next === null;
  if (next) $("to-next").href = next;
}

function goToSlide(step) {
  const address = isInWorkspace() ? neighbour(step) : null;
  if (address) location.href = address;
  else say(step > 0 ? "This is the last slide of the list." : "This is the first slide of the list.");
}

async function showClasses() {
  classOverlay = new ClassOverlay($("classes-layer"), facts, redraw);
  try {
    await classOverlay.load();
  } catch (error) {
    say(`The tissue classes cannot be shown: ${error.message}`, true);
  }
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
    minZoomImageRatio: 0.2, // so that a small image can be seen at 5x too
    visibilityRatio: 0.3,
    animationTime: ANIMATED ? 0.4 : 0,
    gestureSettingsMouse: { clickToZoom: false },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsPen: { clickToZoom: false },
  });
  viewer.addHandler("open", () => {
    if (facts.bounds) viewer.viewport.fitBounds(rectangle(...facts.bounds), true);
    goToPlace();
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
    if (!event.quick || drafting.kind !== null) return;
    const { x, y } = viewer.viewport.viewerElementToImageCoordinates(event.position);
    select(cells.at(x, y, 4 / view().scale));
  });
  drafting = new Drafting(viewer, { view, redraw, finish: (change) => inTurn(() => add(change)) });
}

function rectangle(x, y, width, height) {
  return viewer.viewport.imageToViewportRectangle(x, y, width, height);
}

// The canvas on the slide: its top left corner in level-0 pixels, and CSS pixels per level-0 pixel.
function view() {
  const corner = viewer.viewport.viewerElementToImageCoordinates(new OpenSeadragon.Point(0, 0));
  const across = viewer.viewport.viewerElementToImageCoordinates(new OpenSeadragon.Point(1000, 0));
  return { left: corner.x, top: corner.y, scale: 1000 / (across.x - corner.x) };
}

function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    if (!viewer.world.getItemCount()) return;
    const shown = view();
    classOverlay?.draw(shown);
    drawing.draw({ ...shown, isMoving }, selected, drafting.draft);
    magnification.draw(shown.scale);
    document.body.dataset.drawnAfterMs ??= Math.round(performance.now());
  });
}

// Goes to the place in the address. A box whose middle is there is selected.
function goToPlace() {
  const place = placeInAddress();
  if (place === null) return;
  if (place.number !== undefined) {
    if (cells.has(place.number)) visit(place.number);
    return;
  }
  const [x, y] = [Math.min(Math.max(place.x, 0), facts.width), Math.min(Math.max(place.y, 0), facts.height)];
  const side = place.um / facts.mpp;
  viewer.viewport.fitBounds(rectangle(x - side / 2, y - side / 2, side, side), true);
  viewer.viewport.applyConstraints(true);
  const number = cells.at(x, y, 0);
  const [x0, y0, x1, y1] = number === null ? [] : cells.box(number);
  select(Math.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y) <= SAME_PX ? number : null);
}

// Copies the address of what is shown, which this browser opens as long as the viewer runs.
async function copyPlace() {
  const { x, y } = viewer.viewport.viewportToImageCoordinates(viewer.viewport.getCenter(true));
  const um = (Math.min($("overlay").clientWidth, $("overlay").clientHeight) / view().scale) * facts.mpp;
  const address = addressOf(facts.name, { x, y, um });
  history.replaceState(null, "", new URL(address).hash);
  try {
    await navigator.clipboard.writeText(address);
    say("The link to this place is copied.");
  } catch {
    say("The link to this place is in the address bar: copy it there.");
  }
}

function listClasses() {
  $("classes-part").hidden = facts.classes.length < 2;
  facts.classes.forEach(({ name, colour }, label) => {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      cells.hidden[label] = box.checked ? 0 : 1;
      refresh();
    });
    const swatch = element("i", { className: "swatch" });
    swatch.style.borderColor = `rgb(${colour.join(",")})`;
    const text = element("span", { className: "name", textContent: name });
    const row = element("label", {}, box, swatch, text, element("span", { className: "number" }));
    const item = element("li", {}, row);
    if (facts.classes.length > 1) {
      // The class of boxes that are added.
      const pick = element("input", { type: "radio", name: "added-class", value: label, checked: label === 0 });
      pick.setAttribute("aria-label", `Added boxes are of the class ${name}`);
      pick.title = pick.getAttribute("aria-label");
      item.append(pick);
    }
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

function onMarks() {
  if (selected !== null && !cells.has(selected)) selected = null;
  $("undo").disabled = !marking.canUndo;
  refresh();
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

const REGIONS = {
  [REVIEWED]: "A region that was looked through",
  [NORMAL]: "A region without cells",
  [POSITIVE]: "A region in which all cells are marked",
};

function describe() {
  const isDrawn = selected !== null && selected >= cells.count; // what is no detection is removed
  $("reject").firstChild.data = isDrawn ? "Remove " : "Reject ";
  $("accept").disabled = $("reject").disabled = selected === null;
  if (selected === null) {
    $("selected").textContent = "No cell is selected: press n, or click a box.";
    return;
  }
  const [x0, y0, x1, y1] = cells.box(selected);
  const size = [x1 - x0, y1 - y0].map((side) => (side * facts.mpp).toFixed(1)).join(" \u00d7 ");
  if (cells.isRegion(selected)) {
    $("accept").disabled = true;
    $("selected").textContent = `${REGIONS[cells.verdict(selected)]}, ${size} \u00b5m`;
    return;
  }
  const score = cells.score(selected);
  const state = cells.state(selected);
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

function inTurn(action) {
  turns = turns.then(action);
}

function mark(action) {
  if (selected === null) return say("Select a cell first: press n, or click a box.");
  if (action === "accept" && cells.isRegion(selected)) return say("A region is no cell.");
  const number = selected;
  marking.judge(action, [number]);
  if (action !== "clear" && number < cells.count && $("go-on").checked) go(1, true);
}

async function add(change) {
  const answer = await marking.change({ ...change, label: labelToAdd() });
  if (!answer) return;
  select(answer.number);
  drafting.set(null);
  if (change.action === "reviewed") sayOpen();
}

// What is still undecided, for somebody who says that all was looked at.
function sayOpen() {
  const { open } = cells.counts();
  if (open) say(`${open.toLocaleString("en")} shown detections have no mark: they count neither as cells nor as background.`);
}

// The mark that says that the whole slide was looked through, if there is one.
function wholeRegion() {
  const whole = wholeSlide();
  const isWhole = ({ box, verdict, outline }) =>
    verdict === REVIEWED && !outline.length && box.every((edge, at) => Math.abs(edge - whole[at]) < 0.01);
  return cells.regions().find(isWhole);
}

function wholeSlide() {
  const [x, y, width, height] = facts.bounds ?? [0, 0, facts.width, facts.height];
  return [x, y, x + width, y + height];
}

async function toggleDone() {
  const region = wholeRegion();
  if (region) await marking.change({ action: "clear", number: region.number });
  else if (await marking.change({ action: "reviewed", box: wholeSlide() })) sayOpen();
}

function addInTheView() {
  const action = drafting.kind;
  if (action !== "add") {
    const { left, top, scale } = view();
    const [width, height] = [$("overlay").clientWidth / scale, $("overlay").clientHeight / scale];
    return add({ action, box: [left, top, left + width, top + height] });
  }
  const { x, y } = viewer.viewport.viewportToImageCoordinates(viewer.viewport.getCenter(true));
  const half = cells.usualSide() / 2;
  return add({ action, box: [x - half, y - half, x + half, y + half] });
}

async function undo() {
  if (drafting.takeBack()) return;
  const answer = await marking.change({ action: "undo" });
  if (!answer) return;
  if (answer.number === null) say("There is nothing to undo.");
  else if (cells.has(answer.number)) visit(answer.number);
}

// Begins to draw a cell or a region, or ends it.
function draw(what) {
  if (what === "add" && !facts.classes.length) return say("No cells were looked for on this slide.");
  drafting.toggle(what);
}

function toggleBoxes() {
  drawing.hidden = !drawing.hidden;
  say(drawing.hidden ? "Boxes are hidden: press h to see them." : "");
  redraw();
}

function escape() {
  if (drafting.cancel()) return;
  if (drafting.kind !== null) drafting.set(null);
  else select(null);
}

function pan(x, y) {
  viewer.viewport.panBy(viewer.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(80 * x, 80 * y)));
  viewer.viewport.applyConstraints();
}

function toggleMinimap() {
  const isShown = $("minimap").hidden;
  $("minimap").hidden = !isShown;
  $("minimap-toggle").setAttribute("aria-pressed", String(isShown));
}

function toggleClasses() {
  if (!classOverlay) say("The tissue of this slide was not segmented.");
  else if (!classOverlay.toggle()) say("Tissue classes are hidden: press v to see them.");
}

const KEYS = {
  n: () => go(1),
  p: () => go(-1),
  a: () => mark("accept"),
  r: () => mark("reject"),
  c: () => mark("clear"),
  u: undo,
  d: () => draw("add"),
  g: () => draw("reviewed"),
  m: () => draw("normal"),
  b: () => draw("positive"),
  e: () => drafting.toggleShape(),
  x: () => drafting.setCorner(),
  Backspace: () => drafting.takeBack(),
  f: toggleDone,
  s: () => marking.save(),
  k: copyPlace,
  l: () => (location.href = "gallery"),
  w: () => goToSlide(1),
  W: () => goToSlide(-1),
  t: () => moveThreshold(STEP),
  T: () => moveThreshold(-STEP),
  h: toggleBoxes,
  v: toggleClasses,
  o: toggleMinimap,
  "+": () => magnification.zoom(1.5),
  "=": () => magnification.zoom(1.5),
  "-": () => magnification.zoom(1 / 1.5),
  1: () => magnification.show(5),
  2: () => magnification.show(10),
  3: () => magnification.show(20),
  4: () => magnification.show(40),
  0: () => viewer.viewport.goHome(),
  "?": () => $("help").showModal(),
  Escape: escape,
};
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
  if (isForField(event)) return;
  const isOtherButton = target.matches?.("button, a") && !drafting.isButton(target);
  if (key in MOVES && !(target instanceof HTMLInputElement)) pan(...MOVES[key]);
  else if (key === "Enter" && drafting.kind !== null && !isOtherButton) inTurn(() => drafting.close() || addInTheView());
  else if (Object.hasOwn(KEYS, key)) inTurn(KEYS[key]);
  else return;
  event.preventDefault();
}

function listen() {
  document.addEventListener("keydown", onKey, true);
  const buttons = {
    accept: "a", reject: "r", previous: "p", next: "n", draw: "d", undo: "u", save: "s", "help-open": "?",
    reviewed: "g", normal: "m", positive: "b", done: "f", "minimap-toggle": "o", "copy-place": "k",
  };
  for (const [id, key] of Object.entries(buttons)) $(id).addEventListener("click", () => inTurn(KEYS[key]));
  $("show-rejected").addEventListener("change", () => {
    cells.showRejected = $("show-rejected").checked;
    refresh();
  });
  addEventListener("hashchange", goToPlace);
  new ResizeObserver(redraw).observe($("stage"));
}

start();
