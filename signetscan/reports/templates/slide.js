// The threshold slider: it counts from the histogram in the page, so nothing is loaded and no name is run as code.
(() => {
  const slider = document.getElementById("threshold");
  if (slider === null) return;
  const area = Number(slider.dataset.area);
  const shown = document.querySelector("output[for=threshold]");
  const bars = [...document.querySelectorAll("rect[data-bin]")];
  const rows = [...document.querySelectorAll("#counts tr[data-bins]")].map((row) => ({
    bins: row.dataset.bins.split(" ").map(Number),
    count: row.querySelector("[data-count]"),
    density: row.querySelector("[data-density]"),
  }));

  function density(count) {
    if (area === 0) return "\u2013";
    const value = count / area;
    const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function update() {
    const from = Number(slider.value);
    const score = (from / 100).toFixed(2);
    shown.textContent = score;
    slider.setAttribute("aria-valuetext", score);
    for (const bar of bars) bar.classList.toggle("under", Number(bar.dataset.bin) < from);
    for (const row of rows) {
      const count = row.bins.slice(from).reduce((sum, binCount) => sum + binCount, 0);
      row.count.textContent = count.toLocaleString("en-US");
      row.density.textContent = density(count);
    }
  }

  slider.addEventListener("input", update);
  update();
})();
