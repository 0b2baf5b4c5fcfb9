// The classes of a segmented slide, as a coloured layer of adjustable opacity.

import { $, element, fetched } from "./page.js";

export class ClassOverlay {
  #labels = null; // label + 1 of each pixel of the picture, 0 where there is no class
  #coloured = document.createElement("canvas");
  #hidden = new Set(); // labels

  constructor(canvas, facts, redraw) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.slide = [facts.width, facts.height];
    this.redraw = redraw;
    this.opacity = 0.4;
    this.isShown = true;
  }

  async load() {
    const { classes, colours, model, score } = await (await fetched("classes.json")).json();
    this.colours = colours;
    const picture = await createImageBitmap(await (await fetched("classes.png")).blob(), {
      colorSpaceConversion: "none",
    });
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, picture.width, picture.height);
    this.#labels = new Uint8Array(picture.width * picture.height);
    for (let at = 0; at < this.#labels.length; at++) this.#labels[at] = data[4 * at];
    [this.#coloured.width, this.#coloured.height] = [picture.width, picture.height];
    this.#list(classes);
    $("overlay-about").textContent = `Model ${model}${score === null ? "" : `, slide score ${score.toFixed(2)}`}`;
    this.#colour();
  }

  #list(classes) {
    classes.forEach(({ name, mm2 }, label) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) this.#hidden.delete(label);
        else this.#hidden.add(label);
        this.#colour();
      });
      const swatch = element("i", { className: "swatch full" });
      swatch.style.background = `rgb(${this.colours[label].join(",")})`;
      const area = element("span", { className: "number", textContent: `${mm2.toFixed(2)} mm\u00b2` });
      const row = element("label", {}, box, swatch, element("span", { className: "name", textContent: name }), area);
      $("overlay-classes").append(element("li", {}, row));
    });
    $("opacity").addEventListener("input", () => {
      this.opacity = Number($("opacity").value) / 100;
      this.redraw();
    });
    $("overlay-part").hidden = false;
  }

  #colour() {
    const { width, height } = this.#coloured;
    const image = new ImageData(width, height);
    const inks = new Uint32Array(256);
    this.colours.forEach(([red, green, blue], label) => {
      if (!this.#hidden.has(label)) inks[label + 1] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < pixels.length; at++) pixels[at] = inks[this.#labels[at]];
    this.#coloured.getContext("2d").putImageData(image, 0, 0);
    this.redraw();
  }

  toggle() {
    this.isShown = !this.isShown;
    this.redraw();
    return this.isShown;
  }

  // left and top of the canvas in level-0 pixels, CSS pixels per level-0 pixel.
  draw({ left, top, scale }) {
    if (!this.#labels) return;
    const density = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth * density, this.canvas.clientHeight * density].map(Math.round);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    this.context.clearRect(0, 0, width, height);
    if (!this.isShown) return;
    const factor = scale * density;
    this.context.imageSmoothingEnabled = false;
    this.context.globalAlpha = this.opacity;
    const [across, down] = this.slide;
    this.context.drawImage(this.#coloured, -left * factor, -top * factor, across * factor, down * factor);
  }
}
