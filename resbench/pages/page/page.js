(() => {
  "use strict";
  const root = document.documentElement;
  const every = (selector, from = document) => [...from.querySelectorAll(selector)];

  // charts: drawn one after the other, and anew in the other theme's colours
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
  // a chart is as wide as the page: what was drawn for 620 pixels keeps its proportions along x
  const DRAWN = 620;
  const widen = (spec, width, narrow) => {
    if (spec.width === DRAWN) spec.width = width;
    if (typeof spec.mark?.size === "number" && spec.mark.type === "bar") spec.mark.size *= width / DRAWN;
    if (narrow && spec.encoding?.y?.axis?.labelLimit) spec.encoding.y.axis.labelLimit = 190;
    if (narrow && typeof spec.title === "string") spec.title = { text: spec.title };
    if (narrow && spec.title) Object.assign(spec.title, folded(spec.title));
    [...(spec.layer ?? []), ...(spec.vconcat ?? [])].forEach((one) => widen(one, width, narrow));
  };
  const roomForNames = (layers) => layers.forEach((one) => {
    const domain = one.encoding?.x?.scale?.domain;
    if (typeof domain?.[1] === "number") domain[1] *= 1.2;
    if (one.mark?.type === "text") one.mark.clip = false;
  });
  const sentences = (text) => [text].flat().join("\n").replace(/([^.])\n/g, "$1 ").split("\n"); // lines of a wide chart joined
  const lines = (text) => sentences(text).flatMap((line) => line.match(/.{1,46}(?:\s|$)/g) ?? [line]);
  const folded = ({ text, subtitle }) => subtitle ? { text: lines(text), subtitle: lines(subtitle) } : { text: lines(text) };
  const painted = (spec, width) => {
    const copy = structuredClone(spec);
    const concat = Boolean(copy.vconcat ?? copy.concat), narrow = width < 560;
    if (copy.concat) copy.columns = Math.min(copy.columns, Math.max(1, Math.floor(width / 300)));
    widen(copy, concat ? width - 75 : width, narrow);
    copy.config.legend = { ...copy.config.legend, orient: "top", columns: narrow ? 2 : 6, labelLimit: narrow ? 130 : 260 };
    if (narrow) copy.config.legend.layout = { top: { direction: "vertical", anchor: "start", margin: 6 } };
    if (narrow && copy.layer?.some((one) => one.mark?.type === "text")) roomForNames(copy.layer);
    if (!concat) copy.autosize = { type: "fit-x", contains: "padding" };
    if (dark()) copy.config.range.category = bright;
    return copy;
  };
  const draw = async (place) => {
    drawn.get(place)?.finalize();
    const name = place.ariaLabel;
    place.toggleAttribute("data-dark", dark()); // paper is white: what was drawn for the dark is turned round in print
    const options = { actions: false, renderer: "svg", ast: false, config: colours(), tooltip: { theme: "custom" } };
    try {
      const made = await vegaEmbed(place, painted(charts[place.id], place.clientWidth), options);
      drawn.set(place, made);
      const field = charts[place.id].usermeta?.network;
      if (field) made.view.addEventListener("click", (event, item) => item?.datum?.[field] && open(item.datum[field]));
      Object.assign(place, { role: "img", ariaLabel: name }); // which the drawing library writes over
    } catch (error) {
      place.textContent = `This chart cannot be drawn here: ${error.message}`;
    }
  };
  // not when they come into view: what prints or pictures a page has no view, and would find it empty
  const drawAll = async () => {
    for (const place of every(".chart")) {
      await draw(place);
      await new Promise((go) => setTimeout(go)); // the page answers between two charts
    }
  };

  let last = innerWidth, waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (innerWidth !== last) { last = innerWidth; [...drawn.keys()].forEach(draw); } }, 150);
  });

  // a network: what a click on a point or on a name tells of it; its address is #network=NAME
  const link = (name) => `#network=${encodeURIComponent(name)}`;
  const open = (name) => { if (location.hash === link(name)) tellNetwork(); else location.hash = link(name); };
  const quoted = (name) => /^[\w@%+=:,./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  const told = document.getElementById("network");
  const figuresOf = (name) => {
    for (const place of every(".chart").filter((one) => charts[one.id].usermeta?.network)) {
      const [head, ...rows] = dataOf(place.closest("figure"));
      const row = rows.find((one) => one[0] === name);
      if (row) return head.slice(1).map((key, i) => `${key} ${brief(row[i + 1])}`).join(", ");
    }
    return "";
  };
  const brief = (text) => text === "" || Number.isNaN(Number(text)) ? text || "none"
    : Number(text).toLocaleString("en", { maximumSignificantDigits: Number.isInteger(Number(text)) ? 21 : 4 });
  const tellNetwork = () => {
    let hash = "";
    try { hash = decodeURIComponent(location.hash.slice(1)); } catch { /* no address of this page */ }
    told.hidden = true;
    if (!hash.startsWith("network=")) return;
    const name = hash.slice("network=".length), drawing = document.getElementById(hash), figures = figuresOf(name);
    const held = drawing || figures || every("td a").some((one) => decodeURIComponent(one.hash.slice(1)) === hash);
    if (!held) return;
    told.hidden = false;
    told.querySelector("strong").textContent = name;
    told.querySelector("p").textContent = figures;
    told.querySelectorAll("code").forEach((code) => { code.textContent = `${code.dataset.command} ${quoted(name)}${code.dataset.more ?? ""}`; });
    if (drawing) { drawing.open = true; drawing.scrollIntoView(); }
  };
  addEventListener("hashchange", tellNetwork);
  told.addEventListener("click", ({ target }) => {
    if (target.dataset.copies) navigator.clipboard.writeText(target.previousElementSibling.textContent).then(() => { target.textContent = "Copied"; });
    if (target.dataset.closes) { history.replaceState(null, "", location.pathname); told.hidden = true; }
  });

  // figures: the data of a chart as a table, for the keyboard and for screen readers
  const cells = (line) => (line.match(/("([^"]|"")*"|[^,]*)(,|$)/g) ?? []).slice(0, line.endsWith(",") ? undefined : -1)
    .map((cell) => cell.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"'));
  const dataOf = (figure) => {
    const data = figure.querySelector("a[download]").href.split(",")[1];
    const text = new TextDecoder().decode(Uint8Array.from(atob(data), (one) => one.charCodeAt(0)));
    return text.trimEnd().split("\n").map(cells);
  };
  every("details.figures").forEach((box) => box.addEventListener("toggle", () => {
    if (box.querySelector("table")) return;
    const [head, ...rows] = dataOf(box.parentElement);
    const opens = charts[box.parentElement.querySelector(".chart").id].usermeta?.network;
    const table = document.createElement("table"), place = document.createElement("div");
    const row = (into, tag, values) => values.reduce((line, value) => {
      const cell = line.appendChild(document.createElement(tag));
      if (opens && tag === "td" && !line.cells[1]) Object.assign(cell.appendChild(document.createElement("a")), { href: link(value), textContent: value });
      else cell.textContent = value;
      if (tag === "th") cell.scope = "col";
      return line;
    }, into.insertRow());
    row(table.createTHead(), "th", head);
    const body = table.createTBody();
    rows.forEach((values) => row(body, "td", values));
    Object.assign(place, { className: "scroll", tabIndex: 0, role: "region", ariaLabel: box.textContent });
    place.append(table);
    box.append(place);
  }));

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

  tellNetwork();
  drawAll();
})();
