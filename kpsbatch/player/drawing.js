/* Clips as the player uses them, and the drawing of one frame. */
const kpDrawing = (() => {
  const PARTS = Object.entries(kpSpec.parts);
  const WIDTH = kpSpec.points * 2;
  const AHEAD = 10; // pictures
  const SMOOTH = 6; // frames before and after over which an enlarged view's centre is averaged

  /* A clip from the page's entry. */
  async function ofEntry(entry) {
    const { xy, seen } = await kpNpz.unpack(entry.points, entry.frames);
    const clip = { ...entry, xy, seen, images: [] };
    clip.found = foundOf(clip);
    return clip;
  }

  /* A clip from an array of a dropped npz. */
  function ofArray(file, { name, values, frames }) {
    const { points } = kpSpec;
    const xy = new Float32Array(frames * points * 2);
    const seen = new Uint8Array(frames * points);
    for (let at = 0; at < frames * points; at += 1) {
      xy[at * 2] = values[at * 4];
      xy[at * 2 + 1] = values[at * 4 + 1];
      seen[at] = Math.round(255 * Math.min(1, Math.max(0, values[at * 4 + 3])));
    }
    const clip = {
      name: `${file}: ${name}`, frames, rate: 25, times: null, width: 0, height: 0, aspect: 1, adjusted: false,
      every: 1, pictures: [], images: [], note: "", xy, seen,
    };
    clip.found = foundOf(clip);
    clip.adjusted = looksAdjusted(clip);
    if (clip.adjusted) for (let frame = 0; frame < frames; frame += 1) placeAdjusted(clip, frame);
    clip.letters = Object.fromEntries(PARTS.map(([part]) => [part, [...clip.found[part]].map((one) => (one ? "f" : "-")).join("")]));
    return clip;
  }

  function foundOf({ xy, seen, frames }) {
    const found = {};
    for (const [part, [first, end]] of PARTS) {
      found[part] = new Uint8Array(frames);
      for (let frame = 0; frame < frames; frame += 1) {
        for (let point = first; point < end && !found[part][frame]; point += 1) {
          const at = frame * kpSpec.points + point;
          if (xy[at * 2] || xy[at * 2 + 1] || seen[at]) found[part][frame] = 1;
        }
      }
    }
    return found;
  }

  /* The next two are adjusted.py in short: how adjusted coordinates are recognised, and put together to a body. */
  function looksAdjusted({ xy, found, frames }) {
    const all = [...Array(frames).keys()];
    const place = (frame, point) => [xy[frame * WIDTH + point * 2], xy[frame * WIDTH + point * 2 + 1]];
    for (const part of ["right_hand", "left_hand"]) {
      const there = all.filter((frame) => found[part][frame]);
      if (there.length) return there.every((frame) => place(frame, kpSpec.parts[part][0]).every((value) => value === 0));
    }
    const posed = all.filter((frame) => found.pose[frame]);
    if (posed.length) {
      return posed.every((frame) => {
        const [[x, y], [otherX, otherY]] = [place(frame, 0), place(frame, 1)];
        return Math.abs(Math.hypot(x - otherX, y - otherY) - 1) < 0.01;
      });
    }
    return false;
  }

  function placeAdjusted({ xy, found }, frame) {
    const [nose, shoulders, irises, palm, most] = [[0.5, 0.22], 0.34, 0.19, 0.25, 0.75];
    const offset = frame * WIDTH;
    const body = Array.from(xy.subarray(offset, offset + 12));
    const move = ([first, end], size, [x, y]) => {
      for (let point = first; point < end; point += 1) {
        xy[offset + point * 2] = nose[0] + (x + xy[offset + point * 2] * size) * shoulders;
        xy[offset + point * 2 + 1] = nose[1] + (y + xy[offset + point * 2 + 1] * size) * shoulders;
      }
    };
    for (const [part, wrist, alone] of [["right_hand", 5, [-0.8, 1.6]], ["left_hand", 4, [0.8, 1.6]]]) {
      if (!found[part][frame]) continue;
      const [first, end] = kpSpec.parts[part];
      let reach = 0;
      for (let point = first; point < end; point += 1) reach = Math.max(reach, Math.hypot(xy[offset + point * 2], xy[offset + point * 2 + 1]));
      const size = palm * Math.min(1, most / Math.max(reach * palm, 1e-9));
      move([first, end], size, found.pose[frame] ? [body[wrist * 2], body[wrist * 2 + 1]] : alone);
    }
    if (found.face[frame]) move(kpSpec.parts.face, irises, [0, 0]);
    if (found.pose[frame]) move(kpSpec.parts.pose, 1, [0, 0]);
  }

  /* The picture behind a frame, and a few after it, which are loaded ahead; `then` is called with -1 when one has come,
     with 1 when one is waited for. */
  function pictureOf(clip, frame, then) {
    const place = Math.floor(frame / clip.every);
    const ahead = Math.min(clip.pictures.length, place + AHEAD);
    for (let at = place; at < ahead; at += 1) {
      if (clip.images[at] || !clip.pictures[at]) continue;
      clip.images[at] = new Image();
      for (const end of ["load", "error"]) clip.images[at].addEventListener(end, () => then(-1), { once: true });
      then(1);
      clip.images[at].src = `data:image/webp;base64,${clip.pictures[at]}`;
    }
    const image = clip.images[place];
    return image?.complete && image.naturalWidth ? image : null;
  }

  /* Strokes of one frame. `place` maps x and y of the frame to the canvas; `scale` is the least width of a line. */
  function strokes(pen, clip, frame, { place, scale, parts, colour }) {
    if (frame >= clip.frames) return;
    const offset = frame * WIDTH;
    const spots = (point) => place(clip.xy[offset + point * 2], clip.xy[offset + point * 2 + 1]);
    pen.lineCap = pen.lineJoin = "round";
    for (const { name, part, paths, fine } of kpSpec.strokes) {
      if (!parts.has(part) || !clip.found[part][frame]) continue;
      const path = new Path2D();
      for (const points of paths) points.forEach((point, at) => (at ? path.lineTo(...spots(point)) : path.moveTo(...spots(point))));
      const width = fine ? Math.max(1, scale * 0.7) : scale + 1;
      const dots = new Path2D();
      const [first, end] = kpSpec.parts[part];
      const radius = scale * 1.5;
      for (let point = first; point < end && !fine; point += 1) {
        const [x, y] = spots(point);
        dots.moveTo(x + radius, y);
        dots.arc(x, y, radius, 0, 2 * Math.PI);
      }
      pen.globalAlpha = fine ? 0.45 : 1; // a full outline would hide the face
      pen.strokeStyle = kpSpec.outline;
      pen.lineWidth = width + (fine ? 1.5 : 2 * scale);
      pen.stroke(path);
      pen.lineWidth = 2 * scale;
      pen.stroke(dots);
      pen.globalAlpha = 1;
      pen.strokeStyle = pen.fillStyle = colour ?? kpSpec.colours[name];
      pen.lineWidth = width;
      pen.stroke(path);
      pen.fill(dots);
    }
  }

  /* Where the enlarged view of a part looks: centres in frame coordinates by frame, and its side in frame heights.
     The side is fixed and the centre moves slowly, so that what jitters is seen to jitter. */
  function windowsOf(clip, part) {
    const [first, end] = kpSpec.parts[part];
    const centres = [];
    const sizes = [];
    for (let frame = 0; frame < clip.frames; frame += 1) {
      if (!clip.found[part][frame]) continue;
      let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
      for (let point = first; point < end; point += 1) {
        const [x, y] = [clip.xy[frame * WIDTH + point * 2], clip.xy[frame * WIDTH + point * 2 + 1]];
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      }
      centres.push([frame, (left + right) / 2, (top + bottom) / 2]);
      sizes.push(Math.max((right - left) * clip.aspect, bottom - top));
    }
    if (!centres.length) return null;
    sizes.sort((a, b) => a - b);
    const side = Math.max(0.02, 1.45 * sizes[Math.floor(0.95 * (sizes.length - 1))]);
    const at = [];
    let nearest = 0;
    for (let frame = 0; frame < clip.frames; frame += 1) {
      while (nearest + 1 < centres.length && Math.abs(centres[nearest + 1][0] - frame) <= Math.abs(centres[nearest][0] - frame)) nearest += 1;
      const around = centres.filter(([other]) => Math.abs(other - centres[nearest][0]) <= SMOOTH);
      at.push([1, 2].map((axis) => around.reduce((sum, centre) => sum + centre[axis], 0) / around.length));
    }
    return { at, side };
  }

  /* Mean and largest distance of a part's points in two clips, in pixels of the first; null where one lacks it. */
  function difference(clip, other, part, frame) {
    if (frame >= clip.frames || frame >= other.frames || !clip.found[part][frame] || !other.found[part][frame]) return null;
    const [first, end] = kpSpec.parts[part];
    const [width, height] = clip.width ? [clip.width, clip.height] : [1000, 1000 / clip.aspect];
    let [sum, most] = [0, 0];
    for (let point = first; point < end; point += 1) {
      const at = frame * WIDTH + point * 2;
      const apart = Math.hypot((clip.xy[at] - other.xy[at]) * width, (clip.xy[at + 1] - other.xy[at + 1]) * height);
      sum += apart;
      most = Math.max(most, apart);
    }
    return { mean: sum / (end - first), most };
  }

  return { ofEntry, ofArray, pictureOf, strokes, windowsOf, difference };
})();
