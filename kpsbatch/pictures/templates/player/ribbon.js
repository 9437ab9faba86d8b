/* The ribbon: a row for each part, in which every frame shows by height, colour and letter how the part was found. */
const kpRibbon = (() => {
  const ROW = 18;
  const NARROW = 3; // pixels of a frame below which a bar stands for several
  const BAR = 5; // their width then
  const ORDER = ["-", "l", "i", "t", "f", "d"]; // from the bottom
  const HEIGHTS = { d: 1, f: 1, t: 0.72, l: 0.45, "-": 0.12 };

  function build(host, { onSeek, onJump }) {
    const names = Object.assign(document.createElement("div"), { className: "kp-names" });
    const tracks = Object.assign(document.createElement("div"), { className: "kp-tracks" });
    const shares = Object.assign(document.createElement("div"), { className: "kp-shares" });
    const head = Object.assign(document.createElement("div"), { className: "kp-head" });
    host.append(names, tracks, shares);
    let rows = [];
    let frames = 1;

    const seek = (event) => {
      const box = tracks.getBoundingClientRect();
      onSeek(Math.min(frames - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * frames))));
    };
    tracks.addEventListener("pointerdown", (event) => { tracks.setPointerCapture?.(event.pointerId); seek(event); });
    tracks.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });

    /* rows: [{label, letters, share, jump}] or, for a difference, [{label, values, share}] */
    function show(list, count) {
      rows = list;
      frames = count;
      names.replaceChildren(...rows.map((row) => {
        if (!row.letters) return Object.assign(document.createElement("span"), { textContent: row.label });
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: row.label });
        button.setAttribute("aria-label", `${row.spoken ?? row.label}: next change`);
        button.title = "To the next frame in which it was found in another way";
        button.addEventListener("click", () => onJump(row.letters));
        return button;
      }));
      shares.replaceChildren(...rows.map((row) => Object.assign(document.createElement("span"), { textContent: row.share })));
      tracks.replaceChildren(...rows.map((row) => {
        const canvas = document.createElement("canvas");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", row.description);
        return canvas;
      }), head);
      paint();
    }

    function paint() {
      const style = getComputedStyle(host);
      const colour = (name) => style.getPropertyValue(name).trim();
      const colours = { d: colour("--kp-d"), f: colour("--kp-d"), t: colour("--kp-t"), l: colour("--kp-l"), "-": colour("--kp-missing") };
      const width = tracks.clientWidth;
      const ratio = window.devicePixelRatio || 1;
      [...tracks.querySelectorAll("canvas")].forEach((canvas, number) => {
        const row = rows[number];
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(ROW * ratio);
        const pen = canvas.getContext("2d");
        const cell = canvas.width / frames;
        const left = (frame) => Math.round(frame * cell);
        if (cell < NARROW * ratio && row.letters) { stack(canvas, row.letters, colours, ratio); return; }
        pen.font = `${Math.round(11 * ratio)}px ui-monospace, "DejaVu Sans Mono", monospace`;
        pen.textAlign = "center";
        pen.textBaseline = "middle";
        for (let frame = 0; frame < frames; frame += 1) {
          const size = Math.max(1, left(frame + 1) - left(frame) - (cell > 4 * ratio ? 1 : 0));
          const letter = row.letters?.[frame];
          const value = row.values?.[frame];
          if (letter === undefined && (value === undefined || value === null)) continue;
          const height = letter ? HEIGHTS[letter] ?? 1 : Math.min(1, Math.max(0.04, value / row.top));
          pen.fillStyle = letter ? colours[letter] ?? colours.d : colour("--kp-difference");
          const tall = Math.round(height * canvas.height);
          pen.fillRect(left(frame), canvas.height - tall, size, tall);
          if (letter && letter !== "f" && letter !== "-" && cell >= 10 * ratio) {
            pen.fillStyle = letter === "l" ? colour("--kp-ink") : colour("--kp-on");
            const middle = letter === "l" ? canvas.height * 0.28 : canvas.height - tall / 2;
            pen.fillText(letter, left(frame) + cell / 2, middle);
          }
        }
      });
    }

    /* Bars of several frames each: from the bottom, how large a share of them was found in which way. */
    function stack(canvas, letters, colours, ratio) {
      const pen = canvas.getContext("2d");
      const bars = Math.max(1, Math.floor(canvas.width / (BAR * ratio)));
      for (let bar = 0; bar < bars; bar += 1) {
        const [first, end] = [bar, bar + 1].map((edge) => Math.floor(edge * letters.length / bars));
        const [x, next] = [bar, bar + 1].map((edge) => Math.round(edge * canvas.width / bars));
        const part = letters.slice(first, Math.max(end, first + 1));
        let bottom = canvas.height;
        for (const letter of ORDER) {
          const count = part.split(letter).length - 1;
          if (!count) continue;
          const tall = Math.max(letter === "-" ? 4 * ratio : 1, Math.round(canvas.height * count / part.length));
          pen.fillStyle = colours[letter] ?? colours.d;
          pen.fillRect(x, Math.max(0, bottom - tall), Math.max(1, next - x - ratio), Math.min(tall, bottom));
          bottom -= tall;
        }
      }
    }

    const mark = (frame) => {
      head.style.left = `${100 * frame / frames}%`;
      head.style.width = `${100 / frames}%`;
    };
    return { show, paint, mark };
  }

  return { build };
})();
