"use strict";
// Model tabs, filter, sort, colours and the reason of a cell. Without script the first model's
// worst slices are there all the same.
document.querySelectorAll("[data-heat]").forEach(function (heat) {
  const panels = Array.from(heat.querySelectorAll("[data-panel]"));
  const tabs = Array.from(heat.querySelectorAll("[data-model]"));
  const filter = heat.querySelector("[data-filter]");
  const sort = heat.querySelector("[data-sort]");
  const colour = heat.querySelector("[data-colour]");
  const detail = heat.querySelector("[data-detail]");
  const hint = detail.textContent;
  const limit = 200;
  const state = new Map();

  heat.classList.add("live");

  function rowsOf(panel) {
    if (!state.has(panel)) {
      const body = panel.querySelector("tbody");
      const kept = panel.querySelector("[data-kept]");
      const rows = Array.from(body.rows);
      if (kept) rows.push(...kept.content.querySelectorAll("tr"));
      state.set(panel, { body: body, rows: rows, all: false });
    }
    return state.get(panel);
  }

  function order(rows, by) {
    if (by === "worst") return rows;
    const whole = rows.filter((row) => row.classList.contains("whole"));
    const rest = rows.filter((row) => !row.classList.contains("whole"));
    if (by === "name") {
      rest.sort((a, b) => a.cells[0].title.localeCompare(b.cells[0].title, "en", { numeric: true }));
    } else if (by === "n") {
      rest.sort((a, b) => b.dataset.n - a.dataset.n);
    } else {
      const place = Number(by) + 1;
      const value = (row) => (row.cells[place].dataset.v === "" ? NaN : Number(row.cells[place].dataset.v));
      rest.sort(function (a, b) {
        const x = value(a), y = value(b);
        if (Number.isNaN(x)) return Number.isNaN(y) ? 0 : 1;
        return Number.isNaN(y) ? -1 : x - y;
      });
    }
    return whole.concat(rest);
  }

  function show(panel) {
    const own = rowsOf(panel);
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const found = order(own.rows, sort.value).filter(function (row) {
      const name = row.cells[0].title.toLowerCase();
      return words.every((word) => name.includes(word));
    });
    const shown = own.all ? found : found.slice(0, limit);
    own.body.replaceChildren(...shown);
    panel.querySelector("[data-count]").textContent = shown.length.toLocaleString("en");
    const more = panel.querySelector("[data-all]");
    if (more) more.hidden = shown.length === found.length;
  }

  function current() {
    return panels.find((panel) => !panel.hidden);
  }

  function say(cell) {
    heat.querySelectorAll("td.chosen").forEach((other) => other.classList.remove("chosen"));
    cell.classList.add("chosen");
    detail.textContent = cell.parentElement.cells[0].title + "\n" + cell.title;
  }

  tabs.forEach(function (tab) {
    tab.addEventListener("click", function () {
      tabs.forEach((other) => other.setAttribute("aria-pressed", String(other === tab)));
      panels.forEach((panel) => { panel.hidden = panel.dataset.panel !== tab.dataset.model; });
      detail.textContent = hint;
      show(current());
    });
  });
  filter.addEventListener("input", () => show(current()));
  sort.addEventListener("change", () => show(current()));
  colour.addEventListener("change", () => heat.classList.toggle("by-verdict", colour.value === "verdict"));
  heat.addEventListener("click", function (event) {
    const cell = event.target.closest("td");
    if (cell) say(cell);
    if (event.target.closest("[data-all]")) {
      rowsOf(current()).all = true;
      show(current());
    }
  });
});
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details:not(.words):not(.rest)").forEach((item) => { item.open = true; });
});
