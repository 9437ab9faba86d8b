/* Clips as the player uses them, and the drawing of one frame. */
const kpDrawing = (() => {
  const AHEAD = 10; // pictures
  const SMOOTH = 6; // frames before and after over which an enlarged view's centre is averaged
  const OFF_CENTRE = 0.12; // of the view's side: how far from its middle the part may be
  const BEYOND_WRIST = 0.35; // of the forearm: where a hand's middle is that was not found
  const ARMS = { right_hand: [14, 16], left_hand: [13, 15] }; // elbow and wrist of the pose

  /* A clip from the page's entry. */
  async function ofEntry(entry) {
    const set = kpSpec.sets[entry.set];
    const { xy, seen } = await kpNpz.unpack(entry.points, entry.frames, set.points);
    const clip = { ...entry, set, xy, seen, images: [] };
    clip.found = foundOf(clip);
    return clip;
  }

  /* A clip from an array of a dropped npz. */
  function ofArray(file, { name, values, frames, set: setName }) {
    const set = kpSpec.sets[setName];
    const { points } = set;
    const xy = new Float32Array(frames * points * 2);
    const seen = new Uint8Array(frames * points);
    for (let at = 0; at < frames * points; at += 1) {
      xy[at * 2] = values[at * 4];
      xy[at * 2 + 1] = values[at * 4 + 1];
      seen[at] = Math.round(255 * Math.min(1, Math.max(0, values[at * 4 + 3])));
    }
    const clip = {
      name: `${file}: ${name}`, frames, rate: 25, times: null, width: 0, height: 0, aspect: 1, adjusted: false,
      every: 1, pictures: [], images: [], note: "", set, xy, seen,
    };
    clip.found = foundOf(clip);
    clip.adjusted = areAdjusted(clip);
    if (clip.adjusted) for (let frame = 0; frame < frames; frame += 1) placeAdjusted(clip, frame);
    clip.letters = Object.fromEntries(Object.entries(clip.found).map(([part, found]) => [part, [...found].map((one) => (one ? "f" : "-")).join("")]));
    return clip;
  }

  /* Where a landmark of MediaPipe's is among the points of a set, -1 where it is not. */
  function placeOf(set, part, landmark) {
    const at = set.sources[part]?.indexOf(landmark) ?? -1;
    return at < 0 ? -1 : set.parts[part][0] + at;
  }

  /* In which frames each part of the set is there. */
  function foundOf({ xy, seen, frames, set }) {
    const found = {};
    for (const [part, [first, end]] of Object.entries(set.parts)) {
      found[part] = new Uint8Array(frames);
      for (let frame = 0; frame < frames; frame += 1) {
        for (let point = first; point < end && !found[part][frame]; point += 1) {
          const at = frame * set.points + point;
          if (xy[at * 2] || xy[at * 2 + 1] || seen[at]) found[part][frame] = 1;
        }
      }
    }
    return found;
  }

  /* The next two are `are_adjusted` and `place_adjusted` of the program, with the same figures (kpSpec.adjusted). */
  function areAdjusted({ xy, found, frames, set }) {
    const all = [...Array(frames).keys()];
    const place = (frame, point) => [xy[(frame * set.points + point) * 2], xy[(frame * set.points + point) * 2 + 1]];
    for (const part of ["right_hand", "left_hand"]) {
      const wrist = placeOf(set, part, kpSpec.adjusted.wristPoint);
      const there = all.filter((frame) => wrist >= 0 && found[part][frame]);
      if (there.length) return there.every((frame) => place(frame, wrist).every((value) => value === 0));
    }
    const shoulders = kpSpec.adjusted.shoulderPoints.map((landmark) => placeOf(set, "pose", landmark));
    const posed = all.filter((frame) => Math.min(...shoulders) >= 0 && found.pose[frame]);
    if (posed.length) {
      return posed.every((frame) => {
        const [[x, y], [otherX, otherY]] = shoulders.map((shoulder) => place(frame, shoulder));
        return Math.abs(Math.hypot(x - otherX, y - otherY) - 1) < kpSpec.adjusted.nearOne;
      });
    }
    const [first, end] = set.parts.face ?? [0, 0];
    const points = [...Array(end - first).keys()].map((at) => first + at);
    const lefts = all.filter((frame) => found.face?.[frame]).map((frame) => Math.min(...points.map((point) => place(frame, point)[0])));
    lefts.sort((a, b) => a - b);
    return lefts.length > 0 && lefts[Math.floor(lefts.length / 2)] < kpSpec.adjusted.leftOfReference;
  }

  function placeAdjusted({ xy, found, set }, frame) {
    const { nose, shoulders, irises, palm, most, hands } = kpSpec.adjusted;
    const offset = frame * set.points * 2;
    const body = xy.slice(offset, offset + set.points * 2);
    const move = ([first, end], size, [x, y]) => {
      for (let point = first; point < end; point += 1) {
        xy[offset + point * 2] = nose[0] + (x + xy[offset + point * 2] * size) * shoulders;
        xy[offset + point * 2 + 1] = nose[1] + (y + xy[offset + point * 2 + 1] * size) * shoulders;
      }
    };
    for (const [part, landmark, alone] of hands) {
      if (!found[part]?.[frame]) continue;
      const [first, end] = set.parts[part];
      const wrist = placeOf(set, "pose", landmark);
      let reach = 0;
      for (let point = first; point < end; point += 1) reach = Math.max(reach, Math.hypot(xy[offset + point * 2], xy[offset + point * 2 + 1]));
      const size = palm * Math.min(1, most / Math.max(reach * palm, 1e-9));
      move([first, end], size, wrist >= 0 && found.pose[frame] ? [body[wrist * 2], body[wrist * 2 + 1]] : alone);
    }
    if (found.face?.[frame]) move(set.parts.face, irises, [0, 0]);
    if (found.pose?.[frame]) move(set.parts.pose, 1, [0, 0]);
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
    const offset = frame * clip.set.points * 2;
    const spots = (point) => place(clip.xy[offset + point * 2], clip.xy[offset + point * 2 + 1]);
    pen.lineCap = pen.lineJoin = "round";
    for (const { name, part, paths, dots: dotted, fine } of clip.set.strokes) {
      if (!parts.has(part) || !clip.found[part][frame]) continue;
      const path = new Path2D();
      for (const points of paths) points.forEach((point, at) => (at ? path.lineTo(...spots(point)) : path.moveTo(...spots(point))));
      const width = fine ? Math.max(1, scale * 0.7) : scale + 1;
      const dots = new Path2D();
      const radius = scale * (fine ? 1 : 1.5);
      for (const point of dotted) {
        const [x, y] = spots(point);
        dots.moveTo(x + radius, y);
        dots.arc(x, y, radius, 0, 2 * Math.PI);
      }
      pen.globalAlpha = fine ? 0.45 : 1; // a full outline would hide the face
      pen.strokeStyle = kpSpec.outline;
      pen.lineWidth = width + (fine ? 1.5 : 2 * scale);
      pen.stroke(path);
      pen.lineWidth = 2 * scale;
      if (!fine) pen.stroke(dots);
      pen.globalAlpha = 1;
      pen.strokeStyle = pen.fillStyle = colour ?? kpSpec.colours[name];
      pen.lineWidth = width;
      pen.stroke(path);
      pen.fill(dots);
    }
  }

  /* Where the pose says that a hand is, beyond the wrist; null where it does not. */
  function handByPose(clip, part, frame) {
    if (!ARMS[part] || !clip.found.pose?.[frame]) return null;
    const [elbow, wrist] = ARMS[part].map((landmark) => placeOf(clip.set, "pose", landmark));
    if (Math.min(elbow, wrist) < 0) return null;
    const place = (point) => [0, 1].map((axis) => clip.xy[(frame * clip.set.points + point) * 2 + axis]);
    const [from, to] = [place(elbow), place(wrist)];
    return [0, 1].map((axis) => to[axis] + BEYOND_WRIST * (to[axis] - from[axis]));
  }

  /* What the enlarged view of a part shows: centres in frame coordinates by frame, and its side in frame heights.
     The side is fixed and the centre moves slowly, so that what jitters is seen to jitter; but the part stays in the
     middle, and where it is missing the view goes to where the arm points. */
  function windowsOf(clip, part) {
    if (!clip.set.parts[part]) return null;
    const [first, end] = clip.set.parts[part];
    const { points } = clip.set;
    const centres = [];
    const sizes = [];
    for (let frame = 0; frame < clip.frames; frame += 1) {
      if (!clip.found[part][frame]) continue;
      let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
      for (let point = first; point < end; point += 1) {
        const [x, y] = [clip.xy[(frame * points + point) * 2], clip.xy[(frame * points + point) * 2 + 1]];
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      }
      centres.push([frame, (left + right) / 2, (top + bottom) / 2]);
      sizes.push(Math.max((right - left) * clip.aspect, bottom - top));
    }
    if (!centres.length) { // in no frame: the view goes where the arm points, as large as the forearm
      const [elbow, wrist] = (ARMS[part] ?? []).map((landmark) => placeOf(clip.set, "pose", landmark));
      for (let frame = 0; frame < clip.frames; frame += 1) {
        const middle = handByPose(clip, part, frame);
        if (!middle) continue;
        const [x, y] = [0, 1].map((axis) => clip.xy[(frame * points + wrist) * 2 + axis] - clip.xy[(frame * points + elbow) * 2 + axis]);
        centres.push([frame, ...middle]);
        sizes.push(0.8 * Math.hypot(x * clip.aspect, y));
      }
    }
    if (!centres.length) return null;
    sizes.sort((a, b) => a - b);
    const side = Math.max(0.02, 1.45 * sizes[Math.floor(0.95 * (sizes.length - 1))]);
    const at = [];
    let nearest = 0;
    for (let frame = 0; frame < clip.frames; frame += 1) {
      while (nearest + 1 < centres.length && Math.abs(centres[nearest + 1][0] - frame) <= Math.abs(centres[nearest][0] - frame)) nearest += 1;
      const around = centres.filter(([other]) => Math.abs(other - centres[nearest][0]) <= SMOOTH);
      const smooth = [1, 2].map((axis) => around.reduce((sum, centre) => sum + centre[axis], 0) / around.length);
      const own = clip.found[part][frame] ? centres[nearest].slice(1) : handByPose(clip, part, frame);
      const reach = [OFF_CENTRE * side / clip.aspect, OFF_CENTRE * side];
      at.push(own ? smooth.map((value, axis) => Math.min(own[axis] + reach[axis], Math.max(own[axis] - reach[axis], value))) : smooth);
    }
    return { at, side };
  }

  /* Where the landmarks that two sets have of a part are in each. */
  function pairsOf(set, other, part) {
    set.pairs ??= new Map();
    if (!set.pairs.has(other)) set.pairs.set(other, {});
    return (set.pairs.get(other)[part] ??= set.sources[part]
      .map((landmark) => [placeOf(set, part, landmark), placeOf(other, part, landmark)])
      .filter(([, its]) => its >= 0));
  }

  /* Mean and largest distance of the points of a part that two clips have, in pixels of the first; null where one lacks it. */
  function difference(clip, other, part, frame) {
    if (frame >= clip.frames || frame >= other.frames || !clip.found[part]?.[frame] || !other.found[part]?.[frame]) return null;
    const pairs = pairsOf(clip.set, other.set, part);
    if (!pairs.length) return null;
    const [width, height] = clip.width ? [clip.width, clip.height] : [1000, 1000 / clip.aspect];
    let [sum, most] = [0, 0];
    for (const [mine, its] of pairs) {
      const [at, there] = [(frame * clip.set.points + mine) * 2, (frame * other.set.points + its) * 2];
      const apart = Math.hypot((clip.xy[at] - other.xy[there]) * width, (clip.xy[at + 1] - other.xy[there + 1]) * height);
      sum += apart;
      most = Math.max(most, apart);
    }
    return { mean: sum / pairs.length, most };
  }

  return { ofEntry, ofArray, pictureOf, strokes, windowsOf, difference };
})();
