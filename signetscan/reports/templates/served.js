// Where signetscan view serves the page, below /results/, links lead to places of the slides. A page that was opened as a
// file has none, since nothing would answer.
(() => {
  const FOLDER = "/results/";
  if (location.protocol === "file:" || !location.pathname.startsWith(FOLDER)) return;

  function link(text, href, label = text) {
    const made = Object.assign(document.createElement("a"), { className: "served", textContent: text, href });
    made.setAttribute("aria-label", label);
    return made;
  }

  const nav = document.querySelector("header nav[aria-label=Sections]");
  if (nav) nav.hidden = false;
  nav?.append(link("Work list", "/"));
  for (const row of document.querySelectorAll("tr[data-slide]")) {
    const path = row.dataset.slide.split("/").map(encodeURIComponent).join("/");
    const line = document.createElement("small");
    line.append(link("Open the slide", `/named/${path}`, `Open the slide ${row.dataset.slide}`));
    row.querySelector(".name").append(line);
  }

  const report = /^\/results\/(.+)\.report\.html$/.exec(location.pathname);
  if (report === null) return;
  const slide = `/named/${report[1]}`;
  nav?.append(link("Slide", slide));
  // x and y in level-0 pixels, and the side of the area to show, µm.
  const address = (x, y, um) => `${slide}#x=${x}&y=${y}&um=${um}`;
  for (const item of document.querySelectorAll("[data-at]")) {
    const [x, y, um] = item.dataset.at.split(" ");
    item.append(link("In the slide", address(x, y, um), `${item.querySelector("img")?.alt ?? "This place"}: in the slide`));
  }

  const stage = document.querySelector(".stage");
  const buttons = stage?.querySelector(".zoom");
  if (!buttons) return;
  const [left, top, across, down] = stage.dataset.area.split(" ").map(Number);
  const here = link("Slide", slide, "See this part in the slide");
  const follow = () => {
    const [frame, plane] = [stage, stage.querySelector(".plane")].map((each) => each.getBoundingClientRect());
    const part = (at, from, length) => Math.min(Math.max((at - from) / length, 0), 1);
    const x = left + across * part(frame.left + frame.width / 2, plane.left, plane.width);
    const y = top + down * part(frame.top + frame.height / 2, plane.top, plane.height);
    const um = (Math.min(frame.width, frame.height) / plane.width) * Number(stage.dataset.um);
    here.href = address(Math.round(x), Math.round(y), Math.round(um));
  };
  for (const kind of ["pointerdown", "focus", "click"]) here.addEventListener(kind, follow);
  buttons.append(here);
})();
