// The gallery: pages of detections, to accept and reject by key.

import { loadedSlide } from "./marking.js";
import { $, element, hideToken, isForField, isInWorkspace, neighbour, say } from "./page.js";

const GAP = 10; // between cards, CSS pixels; as in gallery.css
const CARD_EXTRA = { width: 12, height: 36 }; // what a card adds to its picture: padding, border and a line of text
const LEAST_SIDE = 60; // of a picture, CSS pixels
const NARROW = 740; // a narrower window shows smaller pictures, CSS pixels
const MOST_LISTED = 100000;
const KEPT_PICTURES = 400; // pictures that stay loaded
const BADGES = { accepted: "\u2713", rejected: "\u00d7" };

let facts, cells, marking;
let listed = []; // numbers of all detections of the choice, as they were when it was made
let page = 0;
let perPage = 1;
let columns = 1;
let selected = 0; // place on the page
let turns = Promise.resolve();
const pictures = new Map(); // loaded pictures by number, the latest last

async function start() {
  hideToken();
  showWay();
  try {
    ({ facts, cells, marking } = await loadedSlide({ changed: showMarks, panel: $("panel") }));
  } catch (error) {
    $("name").textContent = "Not loaded";
    say(`The slide cannot be shown: ${error.message}`, true);
    return;
  }
  document.title = `${facts.name} - gallery - signetscan view`;
  $("name").textContent = facts.name;
  $("saved").textContent = `Marks are saved to ${facts.file} at once.${facts.reviewer ? ` Reviewer: ${facts.reviewer}.` : ""}`;
  setUpChoices();
  listen();
  choose();
  $("cards").focus();
  document.body.dataset.drawnAfterMs ??= Math.round(performance.now());
}

function showWay() {
  if (!isInWorkspace()) return;
  $("to-list").hidden = false;
  const next = neighbour(1);
  $("to-next").hidden = next === null;
  if (next) $("to-next").href = `${next}gallery`;
}

function goToSlide(step) {
  const address = isInWorkspace() ? neighbour(step) : null;
  if (address) location.href = `${address}gallery`;
  else say(step > 0 ? "This is the last slide of the list." : "This is the first slide of the list.");
}

function setUpChoices() {
  facts.classes.forEach(({ name }, label) => $("class").append(element("option", { value: label, textContent: name })));
  $("class-choice").hidden = facts.classes.length < 2;
  const lowest = cells.count ? Math.floor(cells.scores[cells.count - 1] * 100) / 100 : 0;
  Object.assign($("threshold"), { min: lowest.toFixed(2), max: "1", value: lowest.toFixed(2) });
}

// Lists the detections of the choice, and shows the first page.
function choose() {
  const threshold = Number($("threshold").value);
  $("threshold-text").textContent = threshold.toFixed(2);
  cells.setThreshold(threshold);
  cells.hidden.fill(0);
  const label = $("class").value;
  if (label !== "") facts.classes.forEach((_, other) => (cells.hidden[other] = other === Number(label) ? 0 : 1));
  listed = cells.listed($("state").value, MOST_LISTED);
  if ($("order").value === "doubt") listed.reverse();
  lay(0);
}

// Lays out a page that fills the window and needs no scrolling: rows first, for pictures of about the wanted size, then
// as many columns as there is room for. Shows the page on which a place of the list is.
function lay(first) {
  const wanted = Number($("size").value) * (document.body.clientWidth < NARROW ? 0.7 : 1);
  const { clientWidth, clientHeight } = $("stage");
  const rows = Math.max(1, Math.round((clientHeight - GAP) / (wanted + CARD_EXTRA.height + GAP)));
  const tallest = (clientHeight - GAP) / rows - CARD_EXTRA.height - GAP;
  const widest = clientWidth - 2 * GAP - CARD_EXTRA.width;
  const side = Math.floor(Math.max(Math.min(tallest, widest, 1.4 * wanted), LEAST_SIDE));
  columns = Math.max(1, Math.floor((clientWidth - GAP) / (side + CARD_EXTRA.width + GAP)));
  perPage = columns * rows;
  $("cards").style.gridTemplateColumns = `repeat(${columns}, ${side + CARD_EXTRA.width}px)`;
  showPage(Math.floor(first / perPage));
}

function pages() {
  return Math.max(1, Math.ceil(listed.length / perPage));
}

function onPage(which = page) {
  return listed.slice(which * perPage, (which + 1) * perPage);
}

function showPage(which, place = 0) {
  page = Math.min(Math.max(which, 0), pages() - 1);
  const numbers = onPage();
  $("cards").replaceChildren(...numbers.map(card));
  $("nothing").hidden = numbers.length > 0;
  $("nothing").textContent = nothingText();
  select(Math.min(place, numbers.length - 1));
  showMarks();
  for (const number of onPage(page + 1)) picture(number); // so that the next page is there when it is turned
  for (const number of pictures.keys()) if (pictures.size > KEPT_PICTURES) pictures.delete(number);
}

function nothingText() {
  if (!facts.detections) return "Nothing was detected on this slide, which does not mean that there is no cancer.";
  return $("state").value === "to review" ? "Nothing is left to review in this choice." : "There is none in this choice.";
}

function picture(number) {
  const known = pictures.get(number);
  const image = known ?? element("img", { src: `crops/${number}.jpg`, alt: "", draggable: false });
  pictures.delete(number);
  pictures.set(number, image);
  return image;
}

function card(number, place) {
  const [x0, y0, x1, y1] = cells.box(number);
  const side = Math.max(facts.crop_um / facts.mpp, facts.crop_around * Math.max(x1 - x0, y1 - y0)); // level-0 pixels
  const box = element("i", { className: "box" });
  const percent = (length) => `${((100 * length) / side).toFixed(2)}%`;
  Object.assign(box.style, {
    left: percent((side - (x1 - x0)) / 2),
    top: percent((side - (y1 - y0)) / 2),
    width: percent(x1 - x0),
    height: percent(y1 - y0),
    borderColor: `rgb(${facts.classes[cells.label(number)].colour.join(",")})`,
  });
  const said = element("div", { className: "said" });
  const made = element("div", { className: "card" }, element("div", { className: "picture" }, picture(number), box), said);
  made.setAttribute("role", "option");
  made.id = `card-${place}`;
  made.addEventListener("click", () => select(place));
  made.addEventListener("dblclick", openInSlide);
  return made;
}

// Brings the cards and the numbers below up to date with the marks.
function showMarks() {
  onPage().forEach((number, place) => {
    const made = $(`card-${place}`);
    const state = cells.state(number);
    if (made.dataset.state === state) return;
    made.dataset.state = state;
    const name = facts.classes[cells.label(number)].name;
    const score = cells.score(number).toFixed(2);
    made.setAttribute("aria-label", `Score ${score}, ${name}, ${state}`);
    const badge = element("i", { className: `badge ${state}`, textContent: BADGES[state] ?? "" });
    const text = element("span", { textContent: facts.classes.length > 1 ? name : "" });
    made.querySelector(".said").replaceChildren(element("span", { className: "number", textContent: score }), text, badge);
  });
  $("undo").disabled = !marking.canUndo;
  const left = listed.reduce((sum, number) => sum + (cells.verdicts[number] ? 0 : 1), 0);
  const { accepted, rejected } = cells.marked;
  const inWords = (number) => number.toLocaleString("en");
  $("progress").textContent =
    `Page ${inWords(page + 1)} of ${inWords(pages())}. ${inWords(left)} of ${inWords(listed.length)} left to review. ` +
    `Accepted ${inWords(accepted)}, rejected ${inWords(rejected)} of ${inWords(facts.detections)} on the slide.`;
}

function select(place) {
  selected = Math.max(place, 0);
  for (const made of $("cards").children) made.setAttribute("aria-selected", String(made.id === `card-${selected}`));
  if (onPage().length) $("cards").setAttribute("aria-activedescendant", `card-${selected}`);
}

function move(step) {
  const numbers = onPage();
  const place = selected + step;
  if (place >= 0 && place < numbers.length) select(place);
  else if (step > 0 && page + 1 < pages()) showPage(page + 1);
  else if (step < 0 && page > 0) showPage(page - 1, perPage - 1);
}

// Goes to the next detection of the page without a mark, or to the next page if there is none.
function goOn() {
  const numbers = onPage();
  const isOpen = (place) => !cells.verdicts[numbers[place]];
  const places = numbers.map((_, place) => (selected + 1 + place) % numbers.length);
  const next = places.find(isOpen);
  if (next !== undefined) select(next);
  else if (page + 1 < pages()) showPage(page + 1);
  else if (listed.every((number) => cells.verdicts[number])) say("All of this choice is reviewed.");
  else say("This is the last page; earlier ones have detections without a mark.");
}

function judge(action) {
  const number = onPage()[selected];
  if (number === undefined) return;
  marking.judge(action, [number]);
  if (action !== "clear") goOn();
}

function judgeRest(action) {
  const open = onPage().filter((number) => !cells.verdicts[number]);
  if (!open.length) return say("Every detection of this page has a mark.");
  marking.judge(action, open);
  const word = action === "accept" ? "accepted" : "rejected";
  say(`${open.length} ${word}: press u to undo.`);
  if (page + 1 < pages()) showPage(page + 1);
}

async function undo() {
  const answer = await marking.change({ action: "undo" });
  if (!answer) return;
  if (answer.number === null) return say("There is nothing to undo.");
  const place = listed.indexOf(answer.number);
  if (place < 0) say("Undone; it is not in this choice.");
  else if (Math.floor(place / perPage) === page) select(place % perPage);
  else showPage(Math.floor(place / perPage), place % perPage);
}

function openInSlide() {
  const number = onPage()[selected];
  if (number !== undefined) location.href = `./#n=${number}`;
}

function toggleBoxes() {
  const isHidden = document.body.classList.toggle("no-boxes");
  $("boxes").setAttribute("aria-pressed", String(!isHidden));
}

const KEYS = {
  a: () => judge("accept"),
  r: () => judge("reject"),
  c: () => judge("clear"),
  A: () => judgeRest("accept"),
  R: () => judgeRest("reject"),
  u: undo,
  n: () => move(1),
  p: () => move(-1),
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  ArrowDown: () => move(columns),
  ArrowUp: () => move(-columns),
  "]": () => showPage(page + 1),
  "[": () => showPage(page - 1),
  PageDown: () => showPage(page + 1),
  PageUp: () => showPage(page - 1),
  Enter: openInSlide,
  h: toggleBoxes,
  s: () => marking.save(),
  w: () => goToSlide(1),
  W: () => goToSlide(-1),
  "?": () => $("help").showModal(),
};

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open || isForField(event)) return;
  if (key === "Enter" && target.matches?.("button, a")) return;
  if (!Object.hasOwn(KEYS, key)) return;
  turns = turns.then(KEYS[key]);
  event.preventDefault();
}

function listen() {
  document.addEventListener("keydown", onKey, true);
  const buttons = {
    accept: "a", reject: "r", clear: "c", undo: "u", "accept-rest": "A", "reject-rest": "R", back: "[", forth: "]",
    boxes: "h", "help-open": "?",
  };
  for (const [id, key] of Object.entries(buttons)) {
    $(id).addEventListener("click", () => (turns = turns.then(KEYS[key])));
  }
  for (const id of ["state", "class", "order"]) $(id).addEventListener("change", choose);
  $("threshold").addEventListener("input", choose);
  $("size").addEventListener("change", () => lay(page * perPage + selected));
  new ResizeObserver(() => lay(page * perPage + selected)).observe($("stage"));
}

start();
