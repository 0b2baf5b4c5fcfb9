// Sorts the table by a column on a click, or Enter, on its heading; the next one reverses the order. Filters its rows.
(() => {
  const table = document.getElementById("slides");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  const textOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();

  // The number of a cell; NaN where it is not known.
  function numberOf(row, column) {
    const text = textOf(row, column).replaceAll(",", "");
    const value = text === "" ? NaN : Number(text);
    return value < 0 ? NaN : value;
  }

  function sort(column) {
    const head = heads[column];
    const isText = head.dataset.sort === "text";
    const before = head.getAttribute("aria-sort");
    const down = before === null ? !isText : before === "ascending"; // at first names go up, numbers down
    const order = (a, b) => {
      if (isText) return down ? compare(b.key, a.key) : compare(a.key, b.key);
      const missing = Number.isNaN(a.key) - Number.isNaN(b.key); // rows without a number come last either way
      return missing || Number.isNaN(a.key) ? missing : down ? b.key - a.key : a.key - b.key;
    };
    const key = isText ? textOf : numberOf;
    const rows = [...body.rows].map((row) => ({ row, key: key(row, column) })).sort(order);
    body.append(...rows.map(({ row }) => row));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  heads.forEach((head, column) => {
    if (head.dataset.sort === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  const form = document.querySelector(".filters");
  if (form === null) return;
  const columnOf = (name) => heads.findIndex((head) => head.textContent === name);
  const field = (name) => document.getElementById(`filter-${name}`)?.value.trim() ?? "";
  const shown = document.getElementById("filtered");

  // Whether a row has at least a number in a column; rows without one have not, if one is asked for.
  const reaches = (row, column, least) => least === "" || numberOf(row, column) >= Number(least);

  function filter() {
    const name = field("name").toLowerCase();
    const [model, review] = [field("model"), field("review")];
    const [score, detections] = [columnOf("Score"), columnOf("Detections")];
    let count = 0;
    for (const row of body.rows) {
      row.hidden = !(
        textOf(row, columnOf("Slide")).toLowerCase().includes(name) &&
        (model === "" || row.dataset.models.split("\n").includes(model)) &&
        (review === "" || row.dataset.review === review) &&
        reaches(row, score, field("score")) &&
        reaches(row, detections, field("detections"))
      );
      count += Number(!row.hidden);
    }
    shown.textContent = `${count.toLocaleString("en-US")} of ${body.rows.length.toLocaleString("en-US")} shown`;
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
