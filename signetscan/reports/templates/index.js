"use strict";
// Sorts the table by a column: a click, or Enter, on its head; once more turns the order round.
(() => {
  const table = document.getElementById("slides");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // What a cell counts as: a number, or the text of a name; nothing where the slide failed or it is not known.
  function keyOf(row, column) {
    const cell = row.cells[column];
    if (column === 0) return cell.firstChild.textContent;
    const text = cell.dataset.value ?? cell.textContent.replaceAll(",", "");
    const value = text === "" ? NaN : Number(text);
    return value < 0 ? NaN : value;
  }

  function sort(column) {
    const head = heads[column];
    const turned = head.getAttribute("aria-sort");
    const down = turned === null ? column > 0 : turned === "ascending";
    const order = (a, b) => {
      if (column === 0) return down ? compare(b.key, a.key) : compare(a.key, b.key);
      const missing = Number.isNaN(a.key) - Number.isNaN(b.key);
      return missing || Number.isNaN(a.key) ? missing : down ? b.key - a.key : a.key - b.key;
    };
    const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) })).sort(order);
    body.append(...rows.map((each) => each.row));
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
})();
