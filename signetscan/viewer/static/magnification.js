// The magnification: its buttons and readout, and the scale bar.
//
// A magnification is what a microscope's objective would show: 40x is 0.25 µm in a pixel of the screen.

import { $ } from "./page.js";

const MAGNIFICATIONS = [5, 10, 20, 40];
const UM_TIMES_MAGNIFICATION = 10;
const SAME = 0.02; // magnifications that differ by less are the same
const LONGEST_BAR = 140; // CSS pixels

export class Magnification {
  constructor(viewer, mpp, isAnimated) {
    this.viewer = viewer;
    this.mpp = mpp;
    this.isAnimated = isAnimated;
    for (const times of MAGNIFICATIONS) $(`times-${times}`).addEventListener("click", () => this.show(times));
    $("zoom-in").addEventListener("click", () => this.zoom(1.5));
    $("zoom-out").addEventListener("click", () => this.zoom(1 / 1.5));
    $("zoom-whole").addEventListener("click", () => this.viewer.viewport.goHome());
  }

  show(times) {
    const scale = (times * this.mpp) / UM_TIMES_MAGNIFICATION;
    this.viewer.viewport.zoomTo(this.viewer.viewport.imageToViewportZoom(scale), null, !this.isAnimated);
    this.viewer.viewport.applyConstraints();
  }

  zoom(factor) {
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  // scale: CSS pixels per level-0 pixel.
  draw(scale) {
    const times = (UM_TIMES_MAGNIFICATION * scale) / this.mpp;
    $("times").textContent = `${times < 10 ? times.toPrecision(2) : Math.round(times)}\u00d7`;
    for (const button of MAGNIFICATIONS) {
      const isShown = Math.abs(times / button - 1) < SAME;
      $(`times-${button}`).setAttribute("aria-pressed", String(isShown));
    }
    this.#drawBar(scale);
  }

  // A bar of 1, 2 or 5 times a power of ten µm, the longest that fits.
  #drawBar(scale) {
    const longest = (LONGEST_BAR / scale) * this.mpp;
    const power = 10 ** Math.floor(Math.log10(longest));
    const length = [5, 2, 1].find((times) => times * power <= longest) * power;
    $("scale-text").textContent = length >= 1000 ? `${length / 1000} mm` : `${+length.toPrecision(1)} \u00b5m`;
    $("scale-bar").style.width = `${((length / this.mpp) * scale).toFixed(1)}px`;
  }
}
