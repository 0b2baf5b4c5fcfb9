// The overview: zoom by buttons, keys, wheel and two fingers, move by dragging, and go to a place by a link.
(() => {
  for (const element of document.querySelectorAll("[data-live]")) element.hidden = false;
  const stage = document.querySelector(".stage");
  if (stage === null) return;
  const plane = stage.querySelector(".plane");
  const picture = stage.querySelector(".picture");
  const scale = stage.querySelector(".scale");
  const [ratio, widthUm] = [Number(stage.dataset.ratio), Number(stage.dataset.um)];
  const LENGTHS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
  const pointers = new Map();
  let zoom = 1;
  let middle = { x: 0.5, y: 0.5 }; // what is in the middle of the stage, in parts of the slide's width and height
  let here = null;

  // The width of the slide at zoom 1, at which all of it is seen.
  const fit = () => Math.min(stage.clientWidth, stage.clientHeight * ratio);
  // A pixel of the picture never becomes larger than three of the screen.
  const most = () => Math.max(4, (3 * picture.naturalWidth) / fit());

  function edge(length, size, at) {
    return size <= length ? (length - size) / 2 : Math.min(0, Math.max(length - size, length / 2 - at * size));
  }

  function place() {
    const [across, down] = [stage.clientWidth, stage.clientHeight];
    if (across === 0) return;
    zoom = Math.min(Math.max(zoom, 1), most());
    const width = fit() * zoom;
    const height = width / ratio;
    const [left, top] = [edge(across, width, middle.x), edge(down, height, middle.y)];
    middle = { x: (across / 2 - left) / width, y: (down / 2 - top) / height };
    Object.assign(plane.style, {
      inset: "auto", margin: "0", aspectRatio: "auto",
      left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`,
    });
    stage.style.touchAction = zoom > 1 ? "none" : "pan-y";
    const pixelUm = widthUm / width;
    const length = LENGTHS.findLast((each) => each <= 0.25 * across * pixelUm);
    if (scale !== null && length !== undefined) {
      scale.style.width = `${length / pixelUm}px`;
      scale.firstElementChild.textContent = length < 1000 ? `${length} µm` : `${length / 1000} mm`;
    }
  }

  // Zooms so that what lies at a point of the stage stays there.
  function zoomAt(factor, x, y) {
    const box = plane.getBoundingClientRect();
    const frame = stage.getBoundingClientRect();
    const at = { x: (x - box.left) / box.width, y: (y - box.top) / box.height };
    zoom = Math.min(Math.max(zoom * factor, 1), most());
    const width = fit() * zoom;
    middle = {
      x: at.x + (frame.left + frame.width / 2 - x) / width,
      y: at.y + ((frame.top + frame.height / 2 - y) / width) * ratio,
    };
    place();
  }

  function zoomBy(factor) {
    const frame = stage.getBoundingClientRect();
    zoomAt(factor, frame.left + frame.width / 2, frame.top + frame.height / 2);
  }

  function move(x, y) {
    middle = { x: middle.x - x / plane.clientWidth, y: middle.y - y / plane.clientHeight };
    place();
  }

  function whole() {
    zoom = 1;
    place();
  }

  // Shows a place, in parts of the slide, so that a length of it takes a quarter of the stage.
  function show(x, y, um) {
    zoom = (0.25 * stage.clientWidth * widthUm) / (um * fit());
    middle = { x, y };
    place();
    if (here === null) {
      here = document.createElement("div");
      here.className = "here";
      plane.append(here);
    }
    Object.assign(here.style, { left: `${100 * x}%`, top: `${100 * y}%` });
    stage.scrollIntoView({ block: "nearest" });
    stage.focus({ preventScroll: true });
  }

  const KEYS = {
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), "0": whole,
    ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
  };
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  const BUTTONS = { in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), whole };
  for (const button of stage.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", BUTTONS[button.dataset.zoom]);
    button.addEventListener("dblclick", (event) => event.stopPropagation());
  }
  stage.addEventListener("dblclick", (event) => zoomAt(2, event.clientX, event.clientY));
  // The wheel scrolls the page until the overview was clicked, and at its end scrolls on.
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !stage.contains(document.activeElement)) return;
    if (zoom === 1 && event.deltaY > 0 && !event.ctrlKey) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    zoomAt(Math.exp(-(event.deltaY * lines) / (event.ctrlKey ? 120 : 400)), event.clientX, event.clientY);
  }, { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, a") !== null || event.button > 0) return;
    pointers.set(event.pointerId, event);
    if (event.pointerType !== "touch" || zoom > 1) stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) return;
    pointers.set(event.pointerId, event);
    const others = [...pointers.values()].filter((each) => each.pointerId !== event.pointerId);
    if (others.length === 0) {
      if (event.pointerType !== "touch" || zoom > 1) move(event.clientX - before.clientX, event.clientY - before.clientY);
      return;
    }
    const [other] = others;
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoomAt(apart(event) / Math.max(apart(before), 1), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-place]");
    if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const [x, y, um] = link.dataset.place.split(" ").map(Number);
    show(x / 100, y / 100, um);
  });
  const opacity = document.getElementById("opacity");
  opacity?.addEventListener("input", () => {
    stage.style.setProperty("--opacity", opacity.value / 100);
    opacity.setAttribute("aria-valuetext", `${opacity.value}%`);
  });
  new ResizeObserver(place).observe(stage);
  picture.addEventListener("load", place);
  place();
})();
