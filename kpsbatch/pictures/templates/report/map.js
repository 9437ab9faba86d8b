/* The upper right corner of a unit of which some videos failed. */
function drawCorner(pen, right, top, side, colours) {
  pen.globalAlpha = 1;
  for (const [colour, reach] of [["--ground", side + 1.5], ["--failed", side]]) {
    pen.fillStyle = colours[colour];
    pen.beginPath();
    pen.moveTo(right - reach, top);
    pen.lineTo(right, top);
    pen.lineTo(right, top + reach);
    pen.fill();
  }
}

/* The map: bands of signs from left to right, in each band a row for every signer and split. */
function buildMap(host) {
  const { table, places: signs, lines } = data.map;
  const { columns, rows } = data.tables[table];
  const counted = (count, what) => `${number.format(count)} ${what}${count === 1 ? "" : "s"}`;
  const at = Object.fromEntries(columns.map((column, place) => [column.key, place]));
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
    const colours = Object.fromEntries(["--r0", "--r1", "--r2", "--r3", "--r4", "--r5", "--left", "--failed", "--bar", "--quiet", "--line", "--ground"]
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
      const room = table === "units" ? 34 : 80;
      const every = Math.max(1, Math.ceil(room / cell / 5) * 5);
      if (place % across === 0 || ((place % across) % every === 0 && (place % across + 2) * cell < across * cell) || (table === "units" && cell >= 24 && every === 5)) {
        pen.fillStyle = colours["--quiet"];
        pen.fillText(String(signs[place]), x, top + 8, every * cell - 4);
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
        if (state === "partial") drawCorner(pen, x + Math.max(1, cell - 1), y, Math.min(cell - 1, tall - 1) * 0.55, colours);
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
      ...(table === "units"
        ? [make("b", {}, `${unit[at.signer]} ${unit[at.split]}, sign `, ...showSign(unit[at.sign]))]
        : [make("b", {}, [unit[at.label], unit[at.signer], unit[at.split]].filter(Boolean).join(", "))]),
      `: ${unit[at.state]}, ${counted(unit[at.read], "video")}${unit[at.failed] ? `, ${unit[at.failed]} failed` : ""}, `
        + `${counted(unit[at.frames], "frame")}${rates ? `; ${rates}` : ""}`,
    );
  }
  canvas.addEventListener("pointermove", (event) => tell(unitAt(event)));
  canvas.addEventListener("pointerleave", () => tell(null));
  canvas.addEventListener("click", (event) => {
    const unit = unitAt(event);
    if (!unit) return;
    tell(unit);
    const quoted = (text) => (/\s/.test(text) ? `"${text}"` : text);
    const keys = [table === "units" ? "sign" : "label", "signer", "split"].filter((key) => at[key] !== undefined && unit[at[key]] !== "");
    tables[table].filter(keys.map((key) => `${key}=${quoted(String(unit[at[key]]))}`).join(" "));
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
