(() => {
  "use strict";
  const root = document.documentElement;
  const every = (selector, from = document) => [...from.querySelectorAll(selector)];

  // charts: drawn when they come near, and anew in the other theme's colours
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawn = new Map();
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const colours = () => {
    const [ink, soft, line] = dark() ? ["#e4e7ea", "#a2a9b1", "#383e46"] : ["#1c1f23", "#5a6068", "#d5d9de"];
    const axis = { labelColor: ink, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft };
    return {
      background: null, axis, text: { color: ink }, header: { labelColor: ink, titleColor: ink },
      title: { color: ink, subtitleColor: soft }, view: { stroke: line },
      legend: { labelColor: ink, titleColor: ink, symbolFillColor: soft },
    };
  };
  const bright = ["#4aa8e0", "#ff8a3d", "#3cc99a", "#e39cc6", "#9ad6f7", "#f2b84b", "#c2a36b", "#b0b0b0"];
  const painted = (spec) => {
    const copy = structuredClone(spec);
    if (dark()) copy.config.range.category = bright;
    return copy;
  };
  const draw = async (place) => {
    drawn.get(place)?.finalize();
    const options = { actions: false, renderer: "svg", ast: false, config: colours(), tooltip: { theme: "custom" } };
    try {
      drawn.set(place, await vegaEmbed(place, painted(charts[place.id]), options));
    } catch (error) {
      place.textContent = `This chart cannot be drawn here: ${error.message}`;
    }
  };
  const near = new IntersectionObserver((seen) => {
    for (const { target } of seen.filter((one) => one.isIntersecting)) { near.unobserve(target); draw(target); }
  }, { rootMargin: "400px" });
  every(".chart").forEach((place) => near.observe(place));
  addEventListener("beforeprint", () => every(".chart").filter((place) => !drawn.has(place)).forEach(draw));

  // theme
  const button = document.getElementById("theme");
  const say = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${dark() ? "Light" : "Dark"} colours`);
  };
  const repaint = () => { say(); [...drawn.keys()].forEach(draw); };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; repaint(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  say();

  // tables: a click on a head sorts by it, numbers by their value, what is missing last
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent;
    return text.trim() === "" ? null : cell.dataset.value === undefined ? text : Number(cell.dataset.value);
  };
  const compare = (a, b, up) => a === null || b === null
    ? (a === null) - (b === null)
    : up * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  every("thead button").forEach((head) => head.addEventListener("click", () => {
    const cell = head.parentElement, body = cell.closest("table").tBodies[0], column = cell.cellIndex;
    const first = cell.classList.contains("number") ? "descending" : "ascending";
    const other = { ascending: "descending", descending: "ascending" };
    const order = cell.ariaSort ? other[cell.ariaSort] : first;
    every("th", cell.parentElement).forEach((one) => one.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", order);
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    rows.sort((a, b) => compare(a[0], b[0], order === "ascending" ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  }));

  // filters: rows that hold all of the words
  every("input[data-table]").forEach((input) => input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    document.getElementById(`${input.dataset.table}-count`).textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  }));
})();
