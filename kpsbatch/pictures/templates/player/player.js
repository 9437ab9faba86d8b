/* The player: every .kp-player of the page becomes one. Data beside the page calls `kpArrive`. */
const kpArrivals = new Map();
const kpArrive = (src, entry) => kpArrivals.get(src)?.(entry);
(() => {
  const DETAILS = { right_hand: "right hand", left_hand: "left hand", face: "face" };
  const PARTS = kpSpec.parts;
  const LISTED = 200; // videos in the list at once
  const SPEEDS = [0.1, 0.25, 0.5, 1, 2];
  const OTHER = "#ff5cf4"; // the clip that is compared with
  const words = (part) => part.replace("_", " ");
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const timeOf = (clip, frame) => (clip.times ? clip.times[Math.min(frame, clip.frames - 1)] : frame * 1000 / clip.rate);
  const partsOf = (clip) => PARTS.filter((part) => clip.set.parts[part]);
  const lengthOf = (clip) => timeOf(clip, clip.frames - 1) + 1000 / clip.rate;

  function start(host) {
    const find = (name) => host.querySelector(`.kp-${name}`);
    const data = JSON.parse(find("data").textContent);
    const [other, way] = ["other", "way"].map((name) => find(name).querySelector("select"));
    const [list, search] = [find("list"), find("search").querySelector("input")];
    const [main, second] = host.querySelectorAll(".kp-main");
    const [play, scrub, speed, loop, now] = ["play", "scrub", "speed", "loop", "now"].map(find);
    Object.assign(kpSpec.sets, data.sets);
    const clips = data.clips; // entries, each replaced by a clip when it is first shown
    const shown = new Set(PARTS);
    const views = {};
    let pictures = true;
    let [clip, rival] = [null, null];
    let frame = 0;
    let position = 0; // milliseconds
    let playing = 0; // the time of the last step, 0 while paused
    let queued = false;
    host.dataset.waiting = 0;

    const checkboxes = {};
    for (const part of [...PARTS, "picture"]) {
      const box = make("input", { type: "checkbox", checked: "" });
      box.addEventListener("change", () => {
        if (part === "picture") pictures = box.checked;
        else if (box.checked) shown.add(part);
        else shown.delete(part);
        redraw();
      });
      checkboxes[part] = box;
      const mark = make("i", { style: `background:${kpSpec.colours[part] ?? "none"}`, class: part === "picture" ? "kp-none" : "kp-mark" });
      find("parts").append(make("label", {}, box, mark, words(part)));
    }
    for (const [part, label] of Object.entries(DETAILS)) {
      const canvas = make("canvas", { role: "img", "aria-label": `${label}, enlarged` });
      views[part] = { canvas, caption: make("figcaption"), windows: null };
      find("details").append(make("figure", {}, canvas, views[part].caption));
    }
    const ribbon = kpRibbon.build(find("ribbon"), {
      onSeek: userSeek,
      onJump: (letters) => {
        for (let step = 1; step <= letters.length; step += 1) {
          const at = (frame + step) % letters.length;
          if (at && letters[at] !== letters[at - 1]) { userSeek(at); return; }
        }
      },
    });

    function complain(text) {
      find("problem").textContent = text;
      find("problem").hidden = !text;
    }

    /* The clips to choose from; one that is only there to be compared with is not among them. */
    function choosable() {
      const pairs = new Set(clips.map((one) => one.compare).filter((at) => at !== undefined));
      return clips.map((_, at) => at).filter((at) => !pairs.has(at));
    }

    const textOf = (one) => [one.name, one.label, one.signer, one.key].filter(Boolean).join(" ").toLowerCase();

    function listClips(chosen = clips.indexOf(clip)) {
      const all = choosable();
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fitting = all.filter((at) => wanted.every((word) => textOf(clips[at]).includes(word)));
      find("browse").hidden = all.length < 2;
      find("count").textContent = fitting.length === all.length ? `${all.length} videos` : `${fitting.length} of ${all.length} videos`;
      if (fitting.length > LISTED) find("count").textContent += `; the first ${LISTED} are listed`;
      list.replaceChildren(...fitting.slice(0, LISTED).map((at) => {
        const one = clips[at];
        const picture = one.thumb ? [make("img", { src: `data:image/jpeg;base64,${one.thumb}`, alt: "", loading: "lazy" })] : [];
        const flagged = kpFlags.has(one.flag) ? [make("b", {}, "flagged")] : [];
        const button = make("button", { type: "button", "data-at": at }, ...picture, make("span", {}, one.name), ...flagged);
        if (at === chosen) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => choose(at));
        return make("li", {}, button);
      }));
    }

    function fillChoices(chosen, compared) {
      listClips(chosen);
      const options = clips.map((_, at) => at).filter((at) => at !== chosen).map((at) => make("option", { value: at }, clips[at].name));
      other.replaceChildren(make("option", { value: "" }, "nothing"), ...options);
      other.value = compared ?? "";
      find("other").hidden = clips.length < 2;
      find("way").hidden = compared === undefined;
    }

    /* A clip whose data lies in a script beside the page. */
    const fetched = (stub) => new Promise((resolve, reject) => {
      kpArrivals.set(stub.src, resolve);
      const script = make("script", { src: stub.src });
      script.addEventListener("error", () => reject(new Error(`${decodeURI(stub.src)} is not beside this page`)));
      document.head.append(script);
    });

    async function loaded(at) {
      if (at === undefined) return null;
      if (!clips[at].xy) {
        const { compare, thumb } = clips[at];
        const entry = clips[at].src ? await fetched(clips[at]) : clips[at];
        clips[at] = Object.assign(await kpDrawing.ofEntry(entry), { compare, thumb });
      }
      return clips[at];
    }

    /* `#video=01-train/0007: take 2&frame=12`, frames counted from 1. */
    async function follow() {
      const wanted = new URLSearchParams(location.hash.slice(1));
      const at = clips.findIndex((one) => one.key && one.key === wanted.get("video"));
      if (at < 0) return false;
      if (clips[at] !== clip) await choose(at);
      userSeek((Number(wanted.get("frame")) || 1) - 1);
      if (!whole) host.scrollIntoView();
      return true;
    }

    function flag() {
      if (!clip.flag) return;
      kpFlags.toggle(clip.flag);
    }

    function showFlag() {
      find("flag").hidden = !clip?.flag;
      if (!clip?.flag) return;
      find("flag").setAttribute("aria-pressed", String(kpFlags.has(clip.flag)));
      find("flag").textContent = kpFlags.has(clip.flag) ? "Flagged" : "Flag";
    }

    async function choose(at, compared = clips[at].compare) {
      try {
        [clip, rival] = [await loaded(at), await loaded(compared)];
        complain("");
      } catch (error) {
        complain(`${error.message}.`);
        if (!clip) throw error;
        return;
      }
      fillChoices(at, compared);
      find("title").textContent = clip.name;
      find("title").hidden = choosable().length < 2;
      find("link").hidden = !clip.key;
      showFlag();
      arrange();
      for (const part of Object.keys(DETAILS)) views[part].windows = kpDrawing.windowsOf(clip, part);
      scrub.max = clip.frames - 1;
      find("note").textContent = [clip.note, clip.doubt].filter(Boolean).join(" ");
      find("note").hidden = !find("note").textContent;
      checkboxes.picture.closest("label").hidden = !clip.pictures.length;
      for (const part of PARTS) checkboxes[part].closest("label").hidden = ![clip, rival].some((one) => one && partsOf(one).includes(part));
      main.querySelector("figcaption").textContent = rival ? `${clip.name}` : "";
      second.querySelector("figcaption").textContent = rival?.name ?? "";
      legend();
      showRibbon();
      seek(Math.min(frame, clip.frames - 1));
    }

    /* One whole view or two, as high as the three enlarged views beside them. */
    function arrange() {
      const beside = Boolean(rival) && way.value === "beside";
      const whole = `minmax(0, ${(3 * clip.aspect).toFixed(3)}fr) `;
      second.hidden = !beside;
      host.style.setProperty("--kp-aspect", clip.aspect);
      host.style.setProperty("--kp-columns", `${whole.repeat(beside ? 2 : 1)} minmax(0, 1fr)`);
      host.style.setProperty("--kp-reach", (beside ? 2 : 1) * clip.aspect + 1 / 3);
      redraw();
    }

    function legend() {
      const letters = new Set(PARTS.flatMap((part) => [...(clip.letters[part] ?? ""), ...(rival?.letters[part] ?? "")]));
      const items = Object.entries(kpSpec.meaning).filter(([letter]) => letters.has(letter));
      find("legend").replaceChildren(...items.map(([letter, text]) => make(
        "span", {}, make("i", { class: `kp-key kp-key-${letter === "-" ? "missing" : letter}` }), letter === "f" ? text : `${letter} ${text}`,
      )), ...(rival ? [make("span", {}, make("i", { class: "kp-key", style: `background:${OTHER}` }), `compared with: ${rival.name}`)] : []));
    }

    function showRibbon() {
      const rows = [];
      const description = (name, letters) => {
        const count = (letter) => [...letters].filter((one) => one === letter).length;
        return `${name}: ${Object.entries(kpSpec.meaning).filter(([letter]) => count(letter)).map(([letter, text]) => `${text} in ${count(letter)}`).join(", ")} of ${letters.length} frames`;
      };
      const share = (letters) => `${Math.floor(100 * [...letters].filter((letter) => letter !== "-").length / letters.length)}%`;
      for (const part of partsOf(clip)) {
        const letters = clip.letters[part];
        rows.push({ label: words(part), letters, share: share(letters), description: description(words(part), letters) });
        if (!rival?.letters[part]) continue;
        const others = rival.letters[part];
        rows.push({ label: "compared", spoken: `${words(part)}, compared`, letters: others, share: share(others), description: description(`${words(part)}, compared`, others) });
        const values = [...Array(clip.frames).keys()].map((at) => kpDrawing.difference(clip, rival, part, at)?.mean ?? null);
        const there = values.filter((value) => value !== null);
        const middle = there.length ? `${median(there).toFixed(1)} ${unit()}` : "";
        rows.push({ label: "difference", values, top: Math.max(1e-9, ...there), share: middle, description: `${words(part)}: difference, median ${middle || "not known"}` });
      }
      ribbon.show(rows, clip.frames);
    }

    const unit = () => (clip.width ? "px" : "‰");

    function tell() {
      const seconds = (timeOf(clip, frame) / 1000).toFixed(2);
      const found = partsOf(clip).map((part) => `${words(part)} ${kpSpec.meaning[clip.letters[part][frame]] ?? "found"}`);
      let text = `Frame ${frame + 1} of ${clip.frames} (row ${frame}), ${seconds} s: ${found.join(", ")}.`;
      if (clip.key) find("link").href = `#video=${encodeURIComponent(clip.key)}&frame=${frame + 1}`;
      if (rival) {
        const apart = PARTS.map((part) => [part, kpDrawing.difference(clip, rival, part, frame)]).filter(([, value]) => value);
        text += apart.length ? ` Difference on average (most): ${apart.map(([part, { mean, most }]) => `${words(part)} ${mean.toFixed(1)} (${most.toFixed(1)}) ${unit()}`).join(", ")}.` : " No part to compare here.";
        if (!clip.width) text += " ‰ are thousandths of the frame's width.";
      }
      if (clip.pictures.length && clip.every > 1) text += ` The picture is of frame ${frame - frame % clip.every + 1}.`;
      now.textContent = text;
      scrub.setAttribute("aria-valuetext", `frame ${frame + 1} of ${clip.frames}, ${seconds} seconds`);
    }

    function seek(at) {
      frame = Math.min(clip.frames - 1, Math.max(0, at));
      if (!playing) position = timeOf(clip, frame);
      scrub.value = frame;
      ribbon.mark(frame);
      tell();
      redraw();
    }

    function userSeek(at) {
      seek(at);
      position = timeOf(clip, frame);
    }

    function count(by) {
      host.dataset.waiting = Number(host.dataset.waiting ?? 0) + by; // pictures that are still to come
      redraw();
    }

    function redraw() {
      if (queued) return;
      queued = true;
      requestAnimationFrame(() => { queued = false; draw(); });
    }

    function prepared(canvas, aspect) {
      const ratio = window.devicePixelRatio || 1;
      const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
      const height = Math.max(1, Math.round(width / aspect));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const pen = canvas.getContext("2d");
      pen.fillStyle = kpSpec.canvas;
      pen.fillRect(0, 0, width, height);
      return { pen, width, height };
    }

    function draw() {
      const image = pictures ? kpDrawing.pictureOf(clip, frame, count) : null;
      const beside = rival && way.value === "beside";
      drawWhole(main, image, rival && !beside ? [[clip], [rival, OTHER]] : [[clip]]);
      if (beside) drawWhole(second, image, [[rival]]);
      for (const part of Object.keys(DETAILS)) drawDetail(part, image);
    }

    function drawWhole(figure, image, drawn) {
      const { pen, width, height } = prepared(figure.querySelector("canvas"), clip.aspect);
      if (image) pen.drawImage(image, 0, 0, width, height);
      const scale = Math.max(1, Math.min(width, height) / 380);
      const place = (x, y) => [x * width, y * height];
      for (const [one, colour] of drawn) kpDrawing.strokes(pen, one, frame, { place, scale: colour ? scale * 0.6 : scale, parts: shown, colour });
    }

    function drawDetail(part, image) {
      const { canvas, caption, windows } = views[part];
      const inSet = partsOf(clip).includes(part);
      const never = inSet && !clip.found[part].includes(1);
      const lacking = !inSet ? ": not among its points" : never ? ": in no frame" : clip.found[part][frame] ? "" : ": missing";
      caption.textContent = DETAILS[part] + lacking;
      const { pen, width } = prepared(canvas, 1);
      if (!windows) return;
      const [x, y] = windows.at[Math.min(frame, windows.at.length - 1)];
      const across = windows.side / clip.aspect; // in frame widths
      const [left, top] = [x - across / 2, y - windows.side / 2];
      if (image) {
        const [wide, high] = [image.naturalWidth, image.naturalHeight];
        pen.drawImage(image, left * wide, top * high, across * wide, windows.side * high, 0, 0, width, width);
      }
      if (!shown.has(part)) return;
      const place = (atX, atY) => [(atX - left) / across * width, (atY - top) / windows.side * width];
      const scale = Math.max(1, width / 170);
      kpDrawing.strokes(pen, clip, frame, { place, scale, parts: new Set([part]) });
      if (rival) kpDrawing.strokes(pen, rival, frame, { place, scale: scale * 0.6, parts: new Set([part]), colour: OTHER });
    }

    function step(time) {
      if (!playing) return;
      position += (time - playing) * Number(speed.value);
      playing = time;
      const length = lengthOf(clip);
      if (position >= length) {
        if (!loop.checked) { toggle(); seek(clip.frames - 1); return; }
        position %= length;
      }
      let at = clip.times ? frame : Math.floor(position * clip.rate / 1000 + 1e-6);
      if (clip.times) {
        if (timeOf(clip, at) > position) at = 0;
        while (at + 1 < clip.frames && clip.times[at + 1] <= position) at += 1;
      }
      if (at !== frame) seek(Math.min(at, clip.frames - 1));
      requestAnimationFrame(step);
    }

    function toggle() {
      const starts = !playing;
      playing = starts ? performance.now() : 0;
      play.textContent = starts ? "Pause" : "Play";
      play.setAttribute("aria-pressed", String(starts));
      now.setAttribute("aria-live", starts ? "off" : "polite");
      if (!starts) { tell(); return; }
      if (frame === clip.frames - 1) userSeek(0);
      requestAnimationFrame((time) => { playing = playing && time; step(time); });
    }

    async function open(files) {
      complain("");
      const first = clips.length;
      for (const file of files) {
        try {
          const videos = await kpNpz.read(await file.arrayBuffer());
          clips.push(...videos.map((one) => kpDrawing.ofArray(file.name, one)));
        } catch (error) {
          complain(`${file.name} ${error.message}.`);
        }
      }
      if (clips.length > first) await choose(first, undefined);
      host.dataset.opened = Number(host.dataset.opened ?? 0) + 1;
    }

    function nextMissing() {
      for (let stepped = 1; stepped <= clip.frames; stepped += 1) {
        const at = (frame + stepped) % clip.frames;
        if (partsOf(clip).some((part) => clip.letters[part][at] === "-")) { userSeek(at); return; }
      }
    }

    const keys = {
      " ": toggle, k: toggle, n: nextMissing, f: flag,
      ArrowLeft: (event) => userSeek(frame - (event.shiftKey ? 10 : 1)), ArrowRight: (event) => userSeek(frame + (event.shiftKey ? 10 : 1)),
      Home: () => userSeek(0), End: () => userSeek(clip.frames - 1),
      "-": () => changeSpeed(-1), "+": () => changeSpeed(1), 0: () => checkboxes.picture.click(),
      ...Object.fromEntries(PARTS.map((part, number) => [number + 1, () => checkboxes[part].click()])),
    };
    const changeSpeed = (by) => { speed.value = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(Number(speed.value)) + by))]; };

    function onKey(event) {
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || !clip || event.ctrlKey || event.metaKey || event.altKey) return;
      const tag = event.target.tagName;
      if (tag === "SELECT" || (tag === "INPUT" && ["file", "search"].includes(event.target.type))) return;
      if (event.key === " " && ["BUTTON", "SUMMARY", "INPUT", "A"].includes(tag) && event.target !== scrub) return;
      event.preventDefault();
      action(event);
    }

    const whole = document.querySelectorAll(".kp-player").length === 1 && document.body.classList.contains("kp-page");
    const area = whole ? document : host;
    area.addEventListener("keydown", onKey);
    play.addEventListener("click", toggle);
    find("back").addEventListener("click", () => userSeek(frame - 1));
    find("next").addEventListener("click", () => userSeek(frame + 1));
    scrub.addEventListener("input", () => userSeek(Number(scrub.value)));
    search.addEventListener("input", () => listClips());
    find("flag").addEventListener("click", flag);
    kpFlags.listen(() => { showFlag(); listClips(); });
    window.addEventListener("hashchange", follow);
    other.addEventListener("change", () => choose(clips.indexOf(clip), other.value === "" ? undefined : Number(other.value)));
    way.addEventListener("change", arrange);
    find("open").querySelector("input").addEventListener("change", (event) => open(event.target.files));
    area.addEventListener("dragover", (event) => { event.preventDefault(); host.classList.add("kp-dropping"); });
    area.addEventListener("dragleave", () => host.classList.remove("kp-dropping"));
    area.addEventListener("drop", (event) => { event.preventDefault(); host.classList.remove("kp-dropping"); open(event.dataTransfer.files); });
    const repaint = () => { if (clip) { ribbon.paint(); redraw(); } };
    new ResizeObserver(repaint).observe(host);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    window.matchMedia("print").addEventListener("change", () => { if (clip) { ribbon.paint(); draw(); } });
    follow().then((there) => there || choose(0)).then(() => host.classList.add("kp-ready"), (error) => complain(`This browser can't show the player: ${error.message}.`));
  }

  for (const host of document.querySelectorAll(".kp-player")) start(host);
})();
