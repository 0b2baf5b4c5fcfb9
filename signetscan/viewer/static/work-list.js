// The work list: the slides of a folder of results, how far they are reviewed, and who reviews.

import { $, element, fetched, hashValues, hideToken, isForField, keepOrder, posted, say } from "./page.js";

const CHOICE = "signetscan-choice"; // what is searched for and how rows are sorted, for when the page is seen again

let work; // what the server knows
let choice = { search: "", state: "all", model: "", by: "name", falling: false };

async function start() {
  hideToken();
  choice = { ...choice, ...JSON.parse(sessionStorage.getItem(CHOICE) ?? "{}") };
  $("search").value = choice.search;
  $("state").value = choice.state;
  listen();
  await load();
  if (!work) return;
  if (goToSlide()) return;
  if (work.reviewer === null) askForReviewer();
}

async function load() {
  try {
    work = await (await fetched("work.json")).json();
  } catch (error) {
    $("name").textContent = "Not loaded";
    const isOffline = error instanceof TypeError;
    say(isOffline ? "signetscan view has ended. Start it again." : `The list cannot be shown: ${error.message}`, true);
    return;
  }
  $("name").textContent = `Slides in ${work.folder}`;
  document.title = `${work.folder} - signetscan view`;
  setUpModels();
  $("to-index").hidden = !work.index;
  $("to-index").href = work.index || "/";
  $("who").textContent = work.reviewer ? `Reviewer: ${work.reviewer}` : "Reviewer: no name";
  show();
  document.body.dataset.drawnAfterMs ??= Math.round(performance.now());
}

// The choice of a model, if there are several. One that was chosen before and is gone is chosen no longer.
function setUpModels() {
  const models = [...new Set(work.slides.flatMap(modelsOf))].sort(NAMES.compare);
  $("model").replaceChildren(...["", ...models].map((name) => element("option", { value: name, textContent: name || "All" })));
  if (!models.includes(choice.model)) choice.model = "";
  $("model").value = choice.model;
  $("model-choice").hidden = models.length < 2;
}

function modelsOf({ model, segmented_by: segmentedBy }) {
  return [model, segmentedBy].filter(Boolean);
}

// An address such as #slide=ward/biopsy&x=1200&y=800 leads to a place of a slide.
function goToSlide() {
  const values = hashValues();
  if (!values.has("slide")) return false;
  const slide = work.slides.find(({ name }) => name === values.get("slide"));
  if (!slide) say(`There is no slide called ${values.get("slide")} here.`, true);
  values.delete("slide");
  const place = values.toString();
  if (slide) location.replace(`/slide/${slide.number}/${place ? `#${place}` : ""}`);
  return Boolean(slide);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// How much of a slide is reviewed, 0 to 1; 2 if it is done, so that it is sorted last.
function share({ review, detections }) {
  if (!review) return 0;
  if (review.done) return 2;
  if (!review.known) return 0.001;
  return detections ? Math.min(review.decided / detections, 1) : 0.001;
}

const VALUES = {
  name: ({ name }) => name,
  detections: ({ detections }) => detections ?? -1,
  per_mm2: ({ per_mm2: density }) => density ?? -1,
  score: ({ score }) => score ?? -1,
  accepted: ({ review }) => (review?.known ? review.accepted + review.added : -1),
  share,
  model: (slide) => modelsOf(slide).join(", "),
};
const STATES = {
  all: () => true,
  open: (slide) => share(slide) < 1,
  begun: (slide) => share(slide) > 0 && share(slide) < 1,
  done: (slide) => share(slide) >= 1,
  missing: ({ found }) => !found,
};
const NAMES = new Intl.Collator("en", { numeric: true });

function chosen() {
  const wanted = choice.search.trim().toLowerCase();
  const fits = (slide) =>
    slide.can_open &&
    slide.name.toLowerCase().includes(wanted) &&
    (choice.model === "" || modelsOf(slide).includes(choice.model)) &&
    STATES[choice.state](slide);
  const value = VALUES[choice.by];
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = typeof a === "string" ? NAMES.compare(a, b) : a - b;
    return (choice.falling ? -order : order) || NAMES.compare(one.name, other.name);
  };
  return work.slides.filter(fits).sort(compare);
}

function show() {
  const rows = chosen();
  $("slides").tBodies[0].replaceChildren(...rows.map(row));
  $("none").hidden = rows.length > 0;
  $("slides").classList.toggle("unscored", work.slides.every(({ score }) => score == null)); // none was segmented
  const failed = work.slides.filter(({ failure }) => failure);
  $("failed").tBodies[0].replaceChildren(...failed.map(failedRow));
  $("failed-part").hidden = failed.length === 0;
  for (const button of document.querySelectorAll("th button")) {
    const sort = button.dataset.by === choice.by ? (choice.falling ? "descending" : "ascending") : "none";
    button.parentElement.setAttribute("aria-sort", sort);
  }
  summarise(rows.length);
  keepOrder(rows.map(({ number }) => number));
  sessionStorage.setItem(CHOICE, JSON.stringify(choice));
}

function summarise(shown) {
  const slides = work.slides.filter(({ can_open: canOpen }) => canOpen);
  const done = slides.filter((slide) => share(slide) >= 1).length;
  const missing = slides.filter(({ found }) => !found).length;
  const failed = work.slides.filter(({ failure }) => failure).length;
  const parts = [`${counted(slides.length, "slide")}, ${done} reviewed`];
  if (failed) parts.push(`${failed} failed`);
  if (missing) parts.push(`${missing} not found`);
  if (shown < slides.length) parts.push(`${shown} shown`);
  $("summary").textContent = `${parts.join(", ")}.`;
}

function counted(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

function row(slide) {
  const picture = element("img", { loading: "lazy", src: `/slide/${slide.number}/thumbnail.jpg`, alt: "", width: 128, height: 96 });
  const name = element("td", { className: "text name" });
  name.append(element("a", { href: `/slide/${slide.number}/`, textContent: slide.name }));
  if (slide.detections) {
    name.append(element("a", { className: "second gallery", href: `/slide/${slide.number}/gallery`, textContent: "Gallery" }));
  }
  for (const [of, address] of Object.entries(slide.reports)) {
    name.append(element("a", { className: "second report", href: address, textContent: `Report of ${of}` }));
  }
  for (const [text, bad] of remarks(slide)) name.append(element("small", { className: bad ? "bad" : "", textContent: text }));
  const number = (text, className = "") => element("td", { textContent: text, className });
  const accepted = slide.review?.known ? (slide.review.accepted + slide.review.added).toLocaleString("en") : "";
  return element(
    "tr", {}, element("td", { className: "picture" }, picture), name,
    number(slide.detections === null ? "" : slide.detections.toLocaleString("en")),
    number(slide.per_mm2 === null ? "" : slide.per_mm2.toLocaleString("en", { maximumSignificantDigits: 3 }), "density"),
    number(slide.score === null ? "" : slide.score.toFixed(2), "score"),
    number(accepted, "accepted"), reviewed(slide), models(slide),
  );
}

function models(slide) {
  const cell = element("td", { className: "text model", textContent: slide.model });
  if (slide.threshold !== null) cell.append(element("small", { textContent: `scores from ${slide.threshold}` }));
  if (slide.segmented_by) cell.append(element("div", {}, slide.segmented_by, element("small", { textContent: "regions" })));
  return cell;
}

// What is to be known of a slide, and whether it is a problem.
function remarks(slide) {
  const said = [];
  const classes = Object.entries(slide.classes);
  if (classes.length > 1) said.push([classes.map(([name, number]) => `${name} ${number.toLocaleString("en")}`).join(", "), false]);
  if (!slide.found) {
    said.push([
      work.known_slides
        ? "The slide was not found by its name. Opening it looks at the content of all slides."
        : "Nobody knows where the slide is: start again with --slide and its folder.",
      true,
    ]);
  }
  if (slide.failure) said.push(["A later run failed: see below.", true]);
  if (!slide.scanned) said.push(["No tissue was found, so nothing was scanned.", true]);
  if (slide.unread_mm2 > 0) said.push([`${slide.unread_mm2.toFixed(2)} mm\u00b2 could not be read.`, true]);
  if (slide.others.length) said.push([`Also reviewed by ${slide.others.map((name) => name || "somebody without a name").join(", ")}`, false]);
  return said;
}

function reviewed(slide) {
  const cell = element("td", { className: "text" });
  const { review, detections } = slide;
  if (!review) {
    cell.append("Not begun");
    return cell;
  }
  if (!review.known) {
    cell.append("Changed by another program: open it to see");
    return cell;
  }
  if (detections) {
    const bar = element("i");
    bar.style.width = `${Math.min(100, (100 * review.decided) / detections)}%`;
    cell.append(element("span", { className: "bar" }, bar));
    cell.append(`${review.decided.toLocaleString("en")} of ${detections.toLocaleString("en")}`);
  } else cell.append(counted(review.added + review.regions, "mark"));
  if (review.done) cell.append(" ", element("span", { className: "done", textContent: "Done" }));
  return cell;
}

function failedRow(slide) {
  const cell = (textContent) => element("td", { className: "text", textContent });
  return element("tr", {}, cell(slide.name), cell(slide.failure));
}

// ---- who reviews ------------------------------------------------------------------------------------------------------

function askForReviewer() {
  $("reviewer-name").value = work.reviewer ?? "";
  $("reviewer-problem").textContent = "";
  $("reviewer").showModal();
  $("reviewer-name").focus();
}

async function setReviewer(name) {
  try {
    await posted("reviewer", { name });
  } catch (error) {
    $("reviewer-problem").textContent = error.message;
    return;
  }
  $("reviewer").close();
  await load();
}

// ---- keys -------------------------------------------------------------------------------------------------------------

function links() {
  return [...document.querySelectorAll("#slides tbody td.name > a:first-child")];
}

function move(step) {
  const all = links();
  const place = all.indexOf(document.activeElement);
  const next = place < 0 ? (step > 0 ? 0 : all.length - 1) : place + step;
  all[Math.min(Math.max(next, 0), all.length - 1)]?.focus();
}

// Follows a link of the slide that has the focus.
function follow(selector) {
  document.activeElement.closest("tr")?.querySelector(selector)?.click();
}

const KEYS = {
  n: () => move(1),
  p: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  l: () => follow("a.gallery"),
  r: () => follow("a.report"),
  "/": () => $("search").focus(),
  "?": () => $("help").showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (isForField(event) || !Object.hasOwn(KEYS, event.key)) return;
  KEYS[event.key]();
  event.preventDefault();
}

function listen() {
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => work && goToSlide());
  $("search").addEventListener("input", () => {
    choice.search = $("search").value;
    show();
  });
  $("state").addEventListener("change", () => {
    choice.state = $("state").value;
    show();
  });
  $("model").addEventListener("change", () => {
    choice.model = $("model").value;
    show();
  });
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const { by } = button.dataset;
      // Numbers are of interest from the largest down, the review from what is least reviewed up.
      choice.falling = by === choice.by ? !choice.falling : !["name", "share", "model"].includes(by);
      choice.by = by;
      show();
    });
  }
  $("help-open").addEventListener("click", KEYS["?"]);
  $("change-reviewer").addEventListener("click", askForReviewer);
  $("nameless").addEventListener("click", () => setReviewer(""));
  $("reviewer-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("reviewer-name").value.trim();
    if (name) setReviewer(name);
    else $("reviewer-problem").textContent = "Give a name, or choose to review without one.";
  });
}

start();
