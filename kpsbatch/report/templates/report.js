"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SMALL = 8; // rows that need no filter
  const FIRST = 20;
  const PAGE = 100;
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
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
    if (kind === "share") return [value.toFixed(1)];
    if (kind === "number") return [number.format(value)];
    return [String(value)];
  }

  const isNumber = (kind) => ["number", "percent", "share"].includes(kind);

  function textOf(kind, value) {
    if (value === null || value === undefined) return "";
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
  function compare(a, b) {
    const none = (value) => value === null || value === undefined || value === "";
    if (none(a) || none(b)) return null;
    return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  }

  function buildTable(host, { columns, rows, sort, note }) {
    let [place, way] = sort ?? [-1, 1];
    let shown = FIRST;
    let chosen = rows;
    const what = host.dataset.what ?? "rows";
    const search = make("input", {
      type: "search", "aria-label": `Filter ${what}`, placeholder: host.dataset.hint ?? "Filter", spellcheck: "false",
    });
    const select = make("select", { class: "sort", "aria-label": `Sort ${what} by` });
    select.append(make("option", { value: "-1 1" }, "Sort by"));
    search.hidden = rows.length <= SMALL;
    const count = make("span", { class: "quiet small", role: "status" });
    const heads = columns.map((column, at) => {
      const button = make("button", { type: "button" }, column.label);
      button.addEventListener("click", () => sortBy(at, at === place ? -way : column.down ? -1 : 1));
      select.append(
        make("option", { value: `${at} 1` }, `${column.label} \u2191`),
        make("option", { value: `${at} -1` }, `${column.label} \u2193`),
      );
      return make("th", { scope: "col", class: isNumber(column.kind) ? "n" : null }, button);
    });
    const body = make("tbody");
    const more = make("button", { type: "button", class: "more" });
    host.append(
      make("div", { class: "controls" }, search, select, count),
      make("table", { class: "wide" }, make("thead", {}, make("tr", {}, ...heads)), body),
      more,
    );

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
          const empty = (row) => row[place] === null || row[place] === "" || row[place] === undefined;
          return empty(a) - empty(b) || i - j;
        }).map(([row]) => row);
      }
      heads.forEach((head, at) => {
        if (at === place) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      select.value = `${place} ${way}`;
      shown = FIRST;
      draw();
    }
    function draw() {
      body.replaceChildren(...chosen.slice(0, shown).map((row) => make("tr", {}, ...columns.map((column, at) => make(
        "td",
        {
          class: isNumber(column.kind) ? "n" : column.kind === "word" ? "word" : column.kind === "text" || column.kind === "sign" ? "name" : null,
          "data-label": column.label,
        },
        make("span", {}, ...showValue(column.kind, row[at])),
      )))));
      const all = chosen.length === rows.length ? number.format(rows.length) : `${number.format(chosen.length)} of ${number.format(rows.length)}`;
      count.textContent = `${all} ${what}${note ? `, ${note}` : ""}`;
      more.hidden = shown >= chosen.length;
      more.textContent = `Show ${Math.min(PAGE, chosen.length - shown)} more`;
    }
    more.addEventListener("click", () => { shown += PAGE; draw(); });
    search.addEventListener("input", apply);
    select.addEventListener("change", () => sortBy(...select.value.split(" ").map(Number)));
    apply();
    return { filter(text) { search.value = text; apply(); } };
  }

  const tables = {};
  for (const host of document.querySelectorAll("[data-table]")) {
    tables[host.dataset.table] = buildTable(host, data.tables[host.dataset.table]);
  }

  /* The map: bands of signs from left to right, in each band a row for every signer and split. */
  function buildMap(host) {
    const { columns, rows } = data.tables.units;
    const at = Object.fromEntries(columns.map((column, place) => [column.key, place]));
    const lines = data.lines.map(([signer, split]) => `${signer} ${split}`);
    const signs = data.signs;
    const canvas = make("canvas", { role: "img", "aria-label": "Detection rate of every sign, signer and split; the table of units holds the same figures" });
    const note = document.getElementById("map-note");
    const choices = host.querySelector(".choices");
    let { key: metric, kind } = data.metrics[0];
    let layout = null;
    host.querySelector(".canvas").append(canvas);

    for (const { key, label, kind: itsKind } of data.metrics) {
      const button = make("button", { type: "button", "aria-pressed": String(key === metric), "data-key": key }, label);
      button.addEventListener("click", () => {
        [metric, kind] = [key, itsKind];
        for (const scale of host.querySelectorAll("[data-scale]")) scale.hidden = scale.dataset.scale !== kind;
        for (const other of choices.children) other.setAttribute("aria-pressed", String(other === button));
        draw();
      });
      choices.append(button);
    }

    function draw() {
      const width = canvas.parentElement.clientWidth;
      const style = getComputedStyle(document.documentElement);
      const colours = Object.fromEntries(["--r0", "--r1", "--r2", "--r3", "--r4", "--r5", "--left", "--failed", "--bar", "--quiet", "--line"]
        .map((name) => [name, style.getPropertyValue(name).trim()]));
      const pen = canvas.getContext("2d");
      const font = `12px ${getComputedStyle(document.body).fontFamily}`;
      pen.font = font;
      const margin = Math.min(width / 3, 10 + Math.max(...lines.map((line) => pen.measureText(line).width)));
      const least = width < 600 ? 9 : 11;
      let across = Math.min(signs.length, Math.floor((width - margin) / least));
      if (signs.length > across && across > 10) across -= across % 10;
      across = Math.max(1, across);
      const cell = Math.min(26, (width - margin) / across);
      const tall = Math.max(12, Math.min(18, cell));
      const bands = Math.ceil(signs.length / across);
      const band = 18 + lines.length * tall + 10;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(bands * band * ratio);
      canvas.style.height = `${bands * band}px`;
      layout = { margin, across, cell, tall, band };
      pen.scale(ratio, ratio);
      pen.font = font;
      pen.textBaseline = "middle";
      for (let place = 0; place < signs.length; place += 1) {
        const x = margin + (place % across) * cell;
        const top = Math.floor(place / across) * band;
        if (place % across === 0) {
          pen.fillStyle = colours["--quiet"];
          lines.forEach((line, row) => pen.fillText(line, 0, top + 18 + (row + 0.5) * tall, margin - 6));
        }
        const every = Math.max(1, Math.ceil(34 / cell / 5) * 5);
        if (place % across === 0 || ((place % across) % every === 0 && (place % across + 2) * cell < across * cell) || (cell >= 24 && every === 5)) {
          pen.fillStyle = colours["--quiet"];
          pen.fillText(String(signs[place]), x, top + 8);
        }
        lines.forEach((_, row) => {
          const unit = rows[place * lines.length + row];
          const y = top + 18 + row * tall;
          const rate = unit[at[metric]];
          const state = unit[at.state];
          if (rate !== null) pen.fillStyle = colours[kind === "share" ? "--bar" : colourOf(rate)];
          else pen.fillStyle = colours[state === "failed" ? "--failed" : "--left"];
          pen.globalAlpha = rate !== null && kind === "share" ? 0.08 + 0.92 * rate / 100 : 1;
          if (state === "no video" && rate === null) {
            pen.fillStyle = colours["--line"];
            pen.fillRect(x + cell / 2 - 1, y + tall / 2 - 1, 2, 2);
          } else {
            pen.fillRect(x, y, Math.max(1, cell - 1), tall - 1);
          }
          pen.globalAlpha = 1;
        });
      }
    }

    function unitAt(event) {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left - layout.margin, event.clientY - box.top];
      const column = Math.floor(x / layout.cell);
      const band = Math.floor(y / layout.band);
      const row = Math.floor((y - band * layout.band - 18) / layout.tall);
      const place = band * layout.across + column;
      if (column < 0 || column >= layout.across || row < 0 || row >= lines.length || place >= signs.length) return null;
      return rows[place * lines.length + row];
    }

    const quiet = note.textContent;
    function tell(unit) {
      if (!unit) { note.textContent = quiet; return; }
      const rates = data.metrics.filter(({ key }) => unit[at[key]] !== null)
        .map(({ key, label }) => `${label.toLowerCase()} ${unit[at[key]].toFixed(1)}%`).join(", ");
      note.replaceChildren(
        make("b", {}, `${unit[at.signer]} ${unit[at.split]}, sign `, ...showSign(unit[at.sign])),
        `: ${unit[at.state]}, ${unit[at.videos]} videos, ${number.format(unit[at.frames])} frames${rates ? `; ${rates}` : ""}`,
      );
    }
    canvas.addEventListener("pointermove", (event) => tell(unitAt(event)));
    canvas.addEventListener("pointerleave", () => tell(null));
    canvas.addEventListener("click", (event) => {
      const unit = unitAt(event);
      if (!unit) return;
      tell(unit);
      const quoted = (text) => (/\s/.test(text) ? `"${text}"` : text);
      tables.units.filter(`sign=${unit[at.sign]} signer=${quoted(unit[at.signer])} split=${quoted(unit[at.split])}`);
      if (event.pointerType !== "touch") document.getElementById("units").scrollIntoView();
    });
    draw();
    window.addEventListener("resize", draw);
    window.addEventListener("beforeprint", draw);
    window.addEventListener("afterprint", draw);
    for (const query of ["print", "(prefers-color-scheme: dark)"]) window.matchMedia(query).addEventListener("change", draw);
  }

  const map = document.getElementById("map");
  if (map) buildMap(map);
})();
