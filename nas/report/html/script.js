"use strict";
(() => {
  const tip = document.getElementById("tip");
  let lit = [];

  function light(trial) {
    for (const mark of lit) mark.classList.remove("lit");
    lit = trial ? [...document.querySelectorAll(`[data-trial="${CSS.escape(trial)}"]`)] : [];
    for (const mark of lit) mark.classList.add("lit");
  }

  function tell(mark, x, y) {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.setProperty("left", `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`);
    tip.style.setProperty("top", `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`);
  }

  document.addEventListener("pointermove", (event) => {
    const over = event.target instanceof Element ? event.target : null;
    const mark = over?.closest("[data-tip]");
    if (mark) tell(mark, event.clientX, event.clientY);
    else tip.hidden = true;
    const trial = over?.closest("[data-trial]")?.dataset.trial ?? null;
    if (trial !== (lit[0]?.dataset.trial ?? null)) light(trial);
  });

  document.addEventListener("click", (event) => {
    const over = event.target instanceof Element ? event.target : null;
    const button = over?.closest("table.sortable thead button");
    if (button) sort(button.closest("th"));
    const mark = over?.closest("svg [data-trial]");
    if (mark) {
      const row = document.querySelector(`#trials tr[data-trial="${CSS.escape(mark.dataset.trial)}"]`);
      if (row && !row.hidden) row.scrollIntoView({ block: "center" });
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
  });

  function sort(heading) {
    const table = heading.closest("table"), body = table.tBodies[0], column = heading.cellIndex;
    const rows = [...body.rows];
    const numeric = rows.some((row) => row.cells[column].dataset.v !== undefined);
    const before = heading.getAttribute("aria-sort");
    // The first click brings the largest number, or the first word, to the top.
    const descending = before ? before === "ascending" : numeric;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sign = descending ? -1 : 1;
    const keyed = rows.map((row) => {
      const cell = row.cells[column];
      return [numeric ? (cell.dataset.v === undefined ? null : Number(cell.dataset.v)) : cell.textContent, row];
    });
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // what is unknown stands last
      return sign * (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    });
    body.append(...keyed.map(([, row]) => row));
  }

  function filter(id) {
    const table = document.getElementById(id);
    const words = document.querySelector(`[data-filters="${id}"]`).value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const status = document.querySelector(`[data-statuses="${id}"]`).value;
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = (status && row.dataset.status !== status) || !words.every((word) => text.includes(word));
      left += !row.hidden;
    }
    const of = table.tBodies[0].rows.length;
    document.querySelector(`[data-counts="${id}"]`).textContent =
      left === of ? `${of.toLocaleString("en")} trials` : `${left.toLocaleString("en")} of ${of.toLocaleString("en")} trials`;
  }

  for (const input of document.querySelectorAll("[data-filters]")) {
    input.addEventListener("input", () => filter(input.dataset.filters));
  }
  for (const choice of document.querySelectorAll("[data-statuses]")) {
    choice.addEventListener("change", () => filter(choice.dataset.statuses));
  }
})();
