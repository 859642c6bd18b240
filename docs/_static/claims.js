// Filters the rows of the page of claims and counts what is left; without it all rows are shown.
// The filter stands in the address, #source=...&class=...&verdict=...&words=..., where a row has #SOURCE-NAME.
(() => {
  "use strict";
  const form = document.getElementById("claims-filter");
  const counts = document.querySelectorAll("#claims-count b");
  const rows = [...document.querySelectorAll("table.claims tbody tr")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const chosen = ["source", "class", "verdict"];

  function show() {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const fits = chosen.every((name) => ["", row.dataset[name]].includes(form.elements[name].value));
      row.hidden = !(fits && words.every((word) => texts.get(row).includes(word)));
    }
    const left = rows.filter((row) => !row.hidden);
    for (const table of document.querySelectorAll("table.claims")) {
      table.closest("section").hidden = !table.querySelector("tbody tr:not([hidden])");
    }
    for (const place of counts) {
      const same = (row) => ["class", "verdict"].every((name) => [undefined, row.dataset[name]].includes(place.dataset[name]));
      place.textContent = left.filter(same).length;
      if (place.parentElement.className === "counted") place.parentElement.classList.toggle("none", place.textContent === "0");
    }
  }

  function write() {
    const filter = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    history.replaceState(null, "", `${filter}` ? `#${filter}` : location.pathname + location.search);
    show();
  }

  // an address with a filter sets it; one with a row keeps the filter unless that hides the row
  function read() {
    const hash = location.hash.slice(1);
    const row = rows.find((own) => own.id === hash);
    if (row && !row.hidden) return;
    const filter = new URLSearchParams(hash.includes("=") ? hash : "");
    for (const name of chosen) {
      form.elements[name].value = filter.get(name) || "";
      if (form.elements[name].selectedIndex < 0) form.elements[name].value = ""; // no such choice
    }
    form.elements.words.value = filter.get("words") || "";
    show();
    if (row) row.scrollIntoView();
  }

  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(write)); // after the fields are empty
  addEventListener("hashchange", read);
  form.hidden = false;
  read();
})();
