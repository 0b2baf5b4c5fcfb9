"use strict";
// Sorts the table by a column on a click, or Enter, on its heading; the next one reverses the order.
(() => {
  const table = document.getElementById("slides");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // The value by which a row is sorted: a number, or a name; NaN where the slide failed or the number is not known.
  function keyOf(row, column) {
    const cell = row.cells[column];
    if (column === 0) return cell.firstChild.textContent;
    const text = cell.dataset.value ?? cell.textContent.replaceAll(",", "");
    const value = text === "" ? NaN : Number(text);
    return value < 0 ? NaN : value;
  }

  function sort(column) {
    const head = heads[column];
    const before = head.getAttribute("aria-sort");
    const down = before === null ? column > 0 : before === "ascending"; // at first names go up, numbers down
    const order = (a, b) => {
      if (column === 0) return down ? compare(b.key, a.key) : compare(a.key, b.key);
      const missing = Number.isNaN(a.key) - Number.isNaN(b.key); // rows without a number come last either way
      return missing || Number.isNaN(a.key) ? missing : down ? b.key - a.key : a.key - b.key;
    };
    const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) })).sort(order);
    body.append(...rows.map(({ row }) => row));
    for (const other of heads) other.removeAttribute("aria-sort");
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
