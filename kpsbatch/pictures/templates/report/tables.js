const data = JSON.parse(document.getElementById("data").textContent);
const SMALL = 10; // rows that need no filter
const FIRST = 20;
const PAGE = 100;
const NARROW = 660; // pixels
const PAPER = 700; // A4 or Letter without margins of a printer
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
};
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const level = (rate) => [99, 95, 90, 75, 50].findIndex((least) => rate >= least);
const colourOf = (rate) => `--r${level(rate) < 0 ? 5 : level(rate)}`;

function showSign(sign) {
  const [english, arabic] = data.names[sign] ?? ["", ""];
  const parts = [String(sign)];
  if (english) parts.push(" ", english);
  if (arabic) parts.push(english ? " \u00b7 " : " ", make("bdi", { dir: "rtl", lang: "ar" }, arabic));
  return parts;
}

function showValue(kind, value) {
  if (value === null || value === undefined) return [""];
  if (kind === "sign") return showSign(value);
  if (kind === "percent") {
    return [make("i", { class: "mark", style: `background:var(${colourOf(value)})` }), value.toFixed(1)];
  }
  if (kind === "picture") {
    const [picture, caption] = value;
    if (!picture) return [make("span", { class: "quiet" }, caption)];
    return [make("img", { src: picture, alt: caption, title: caption })];
  }
  if (kind === "play") return [playLink(...value)];
  if (kind === "flag") return value ? [flagButton(value)] : [""];
  if (kind === "share") return [value.toFixed(1)];
  if (kind === "number") return [number.format(value)];
  if (kind === "decimal") return [decimal.format(value)];
  return [String(value)];
}

const playable = new Set([...document.querySelectorAll(".kp-data")].flatMap((one) => JSON.parse(one.textContent).clips.map((clip) => clip.key)));

/* A link to a video in the page's player; where it is not there, the command that plays it, to be copied. */
function playLink(key, frame) {
  if (playable.has(key)) return make("a", { href: `#video=${encodeURIComponent(key)}&frame=${frame + 1}` }, `frame ${frame + 1}`);
  if (!data.command) return "";
  const command = `${data.command} --video '${key.replaceAll("'", "'\\''")}'`;
  const button = make("button", { type: "button", class: "small", title: command }, "copy command");
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(command); button.textContent = "copied"; } catch { button.replaceWith(make("code", {}, command)); }
  });
  return button;
}

function flagButton(name) {
  const button = make("button", { type: "button", class: "flag", "aria-label": `Flag ${name}` });
  const show = () => {
    button.setAttribute("aria-pressed", String(kpFlags.has(name)));
    button.textContent = kpFlags.has(name) ? "flagged" : "flag";
  };
  button.addEventListener("click", () => kpFlags.toggle(name));
  kpFlags.listen(show);
  show();
  return button;
}

const classOf = (kind) => {
  if (kind === "sign") return Object.keys(data.names).length ? "name" : "word";
  return isNumber(kind) ? "n" : kind === "text" ? "name" : kind;
};

const isNumber = (kind) => ["number", "decimal", "percent", "share"].includes(kind);

function textOf(kind, value) {
  if (value === null || value === undefined) return "";
  if (kind === "picture") return value[1];
  if (kind === "play") return "";
  return kind === "sign" ? [value, ...(data.names[value] ?? [])].join(" ") : String(value);
}

/* A filter is words, all of which must occur, and comparisons of a column: hand<90 signer=01 state="no video" */
function parseFilter(text, columns) {
  const tests = [];
  for (const [token] of text.matchAll(/\w+(?:<=|>=|<|>|=)(?:"[^"]*"?|\S+)|"[^"]*"?|\S+/g)) {
    const [, key, sign, raw] = token.match(/^(\w+)(<=|>=|<|>|=)(.+)$/) ?? [];
    const place = columns.findIndex((column) => column.key === (key ?? "").toLowerCase());
    if (place < 0) {
      const word = token.replaceAll('"', "").toLowerCase();
      tests.push((row) => columns.some((column, at) => !isNumber(column.kind)
        && textOf(column.kind, row[at]).toLowerCase().includes(word)));
      continue;
    }
    const wanted = raw.replaceAll('"', "");
    const limit = Number(wanted);
    tests.push((row) => {
      const value = row[place];
      if (sign === "=") return String(value ?? "").toLowerCase() === wanted.toLowerCase() || (value !== "" && value === limit);
      if (typeof value !== "number") return false;
      if (sign === "<") return value < limit;
      if (sign === ">") return value > limit;
      return sign === "<=" ? value <= limit : value >= limit;
    });
  }
  return (row) => tests.every((test) => test(row));
}

const collator = new Intl.Collator("en", { numeric: true });
const isNone = (value) => value === null || value === undefined || value === "";
function compare(a, b) {
  if (isNone(a) || isNone(b)) return null;
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

/* What the columns mean. */
function explain(what, columns) {
  const terms = columns.filter((column) => column.help).flatMap(({ label, help }) => [make("dt", {}, label), make("dd", {}, help)]);
  return make("details", { class: "small meaning" }, make("summary", { class: "quiet" }, `What the columns of ${what} mean`), make("dl", {}, ...terms));
}

/* A row, and below it a line for each detail that there is. */
function drawRow(columns, row) {
  const cells = columns.map((column, at) => [column, row[at]]);
  const main = make("tr", {}, ...cells.filter(([{ kind }]) => kind !== "detail").map(([{ kind, label }, value]) => make(
    "td", { class: `${classOf(kind)}${isNone(value) ? " none" : ""}`, "data-label": label }, make("span", {}, ...showValue(kind, value)),
  )));
  const details = cells.filter(([{ kind }, value]) => kind === "detail" && value);
  if (!details.length) return [main];
  main.className = "has-detail";
  const lines = details.map(([{ label }, value]) => make("div", {}, make("span", { class: "quiet" }, label), make("code", {}, value)));
  return [main, make("tr", { class: "detail" }, make("td", { colspan: cells.length }, ...lines))];
}

function buildTable(host, name, { columns, rows, note }) {
  let [place, way] = [-1, 1];
  let shown = FIRST;
  let chosen = rows;
  const { what, hint } = host.dataset;
  const search = make("input", { type: "search", "aria-label": `Filter ${what}`, placeholder: hint, spellcheck: "false" });
  const select = make("select", { class: "sort", "aria-label": `Sort ${what} by` });
  select.append(make("option", { value: "-1 1" }, "Sort by"));
  search.hidden = rows.length <= SMALL;
  const count = make("span", { class: "quiet small", role: "status" });
  const save = make("button", { type: "button", class: "csv", "aria-label": `Save ${what} as CSV`, title: "Save what is listed, as it is filtered and sorted" }, "CSV");
  const plain = columns.filter(({ kind }) => kind !== "detail");
  const heads = plain.map((column) => {
    const at = columns.indexOf(column);
    const sorts = !["picture", "play", "flag"].includes(column.kind);
    const button = sorts ? make("button", { type: "button" }, column.label) : make("span", {}, column.label);
    const head = make("th", { scope: "col", class: isNumber(column.kind) ? "n" : null, title: column.help || null }, button);
    if (!sorts) return head;
    button.addEventListener("click", () => sortBy(at, at === place ? -way : column.down ? -1 : 1));
    select.append(
      make("option", { value: `${at} 1` }, `${column.label} \u2191`),
      make("option", { value: `${at} -1` }, `${column.label} \u2193`),
    );
    return head;
  });
  const body = make("tbody");
  const foot = make("tfoot");
  const more = make("button", { type: "button", class: "more" });
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body, foot);
  host.append(make("div", { class: "controls" }, search, select, count, save), table, more, explain(what, columns));

  function sortBy(at, direction) {
    [place, way] = [at, direction];
    apply();
  }
  function apply() {
    const keep = parseFilter(search.value, columns);
    chosen = rows.filter(keep);
    if (place >= 0) {
      chosen = chosen.map((row, at) => [row, at]).sort(([a, i], [b, j]) => {
        const order = compare(a[place], b[place]);
        if (order !== null) return way * order || i - j;
        return isNone(a[place]) - isNone(b[place]) || i - j;
      }).map(([row]) => row);
    }
    heads.forEach((head, at) => {
      if (columns.indexOf(plain[at]) === place) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    select.value = `${place} ${way}`;
    shown = FIRST;
    draw();
  }
  /* The sums of what is listed, where there is more than one row to add up. */
  function drawTotal() {
    if (chosen.length < 2 || !plain.some((column) => column.total)) { foot.replaceChildren(); return; }
    foot.replaceChildren(make("tr", {}, ...plain.map((column, first) => {
      const at = columns.indexOf(column);
      if (first === 0) return make("td", {}, "all");
      if (!column.total) return make("td", { class: "none" });
      const sum = chosen.reduce((sum, row) => sum + (row[at] ?? 0), 0);
      return make("td", { class: "n", "data-label": column.label }, make("span", {}, sum < 1000 ? showValue(column.kind, sum)[0] : number.format(Math.round(sum))));
    })));
  }
  function draw() {
    body.replaceChildren(...chosen.slice(0, shown).flatMap((row) => drawRow(columns, row)));
    drawTotal();
    const all = chosen.length === rows.length ? number.format(rows.length) : `${number.format(chosen.length)} of ${number.format(rows.length)}`;
    const noun = rows.length === 1 && chosen.length === 1 ? what.replace(/s$/, "") : what;
    count.textContent = `${all} ${noun}${note ? `, ${note}` : ""}`;
    more.hidden = shown >= chosen.length;
    more.textContent = `Show ${Math.min(PAGE, chosen.length - shown)} more`;
    fit();
  }
  /* Rows become blocks where the table is wider than the place that it has. */
  function fit(width = host.clientWidth) {
    host.classList.remove("blocks");
    host.classList.toggle("paper", width === PAPER);
    host.style.width = `${width}px`;
    const isWide = table.offsetWidth > width;
    host.style.width = "";
    host.classList.toggle("blocks", isWide || (width < NARROW && width !== PAPER));
  }
  more.addEventListener("click", () => { shown += PAGE; draw(); });
  search.addEventListener("input", apply);
  select.addEventListener("change", () => sortBy(...select.value.split(" ").map(Number)));
  save.addEventListener("click", () => saveCsv(name, csvOf(columns, chosen, data.names)));
  window.addEventListener("resize", () => fit());
  window.addEventListener("beforeprint", () => {
    if (rows.length <= PAGE) shown = Math.max(shown, rows.length);
    draw();
    fit(PAPER);
  });
  window.addEventListener("afterprint", () => fit());
  apply();
  return { filter(text) { search.hidden = false; search.value = text; apply(); } };
}

const tables = {};
for (const host of document.querySelectorAll("[data-table]")) {
  tables[host.dataset.table] = buildTable(host, host.dataset.table, data.tables[host.dataset.table]);
}
