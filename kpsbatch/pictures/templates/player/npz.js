"use strict";
/* Reading npz files (zip archives of npy arrays) and the page's own packed keypoints. */
const kpNpz = (() => {
  const MAX_BYTES = 2 ** 30;
  const fail = (text) => { throw new Error(text); };

  async function inflate(bytes, format) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const CRC = Uint32Array.from({ length: 256 }, (_, start) => {
    let value = start;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value >>> 0;
  });
  function crc32(bytes) {
    let crc = 0xffffffff;
    for (let at = 0; at < bytes.length; at += 1) crc = CRC[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  }

  /* Sizes and offsets that do not fit 32 bits are in an extra field (zip64, APPNOTE 4.5.3), in this order. */
  function wide(view, extra, end, values) {
    for (let at = extra; at + 4 <= end;) {
      const size = view.getUint16(at + 2, true);
      if (view.getUint16(at, true) === 1) {
        let place = at + 4;
        return values.map((value) => {
          if (value !== 0xffffffff) return value;
          place += 8;
          return Number(view.getBigUint64(place - 8, true));
        });
      }
      at += 4 + size;
    }
    return values;
  }

  function directory(view) {
    let end = view.byteLength - 22;
    const last = Math.max(0, end - 65535);
    while (end >= last && end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
    if (end < last || end < 0) fail("is no npz: it has no table of contents (cut off?)");
    let count = view.getUint16(end + 10, true);
    let at = view.getUint32(end + 16, true);
    if (at === 0xffffffff || count === 0xffff) {
      const there = Number(view.getBigUint64(end - 20 + 8, true));
      count = Number(view.getBigUint64(there + 32, true));
      at = Number(view.getBigUint64(there + 48, true));
    }
    const members = [];
    for (let number = 0; number < count; number += 1) {
      if (view.getUint32(at, true) !== 0x02014b50) fail("is damaged: its table of contents breaks off");
      const [nameSize, extraSize, noteSize] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
      const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameSize));
      const extra = at + 46 + nameSize;
      const values = [24, 20, 42].map((place) => view.getUint32(at + place, true));
      const [full, packed, offset] = wide(view, extra, extra + extraSize, values);
      members.push({
        name, full, packed, offset, method: view.getUint16(at + 10, true), crc: view.getUint32(at + 16, true),
        secret: view.getUint16(at + 8, true) & 1,
      });
      at = extra + extraSize + noteSize;
    }
    return members;
  }

  async function content(view, member) {
    const { name, offset, packed, full, method } = member;
    if (member.secret) fail(`is encrypted (${name})`);
    if (full > MAX_BYTES) fail(`holds ${name}, which is larger than 1 GB`);
    if (view.getUint32(offset, true) !== 0x04034b50) fail(`is damaged at ${name}`);
    const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
    const raw = new Uint8Array(view.buffer, start, packed);
    if (method !== 0 && method !== 8) fail(`holds ${name}, which is compressed in a way (${method}) that npz does not know`);
    let bytes;
    try {
      bytes = method ? await inflate(raw, "deflate-raw") : raw;
    } catch {
      fail(`is damaged at ${name}: it can't be decompressed`);
    }
    if (bytes.length !== full || crc32(bytes) !== member.crc) fail(`is damaged at ${name}: its checksum differs`);
    return bytes;
  }

  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const rest = bits & 1023;
    if (exponent === 31) return rest ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
  }

  function array(bytes, name) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 12 || bytes[0] !== 0x93 || new TextDecoder().decode(bytes.subarray(1, 6)) !== "NUMPY") fail(`holds ${name}, which is not an array`);
    const long = bytes[6] > 1;
    const start = (long ? 12 : 10) + (long ? view.getUint32(8, true) : view.getUint16(8, true));
    const header = new TextDecoder().decode(bytes.subarray(long ? 12 : 10, start));
    const type = header.match(/'descr':\s*'([^']*)'/)?.[1] ?? "?";
    const shape = (header.match(/'shape':\s*\(([^)]*)\)/)?.[1] ?? "").split(",").filter((text) => text.trim()).map(Number);
    const kind = type.match(/^([<>])f([248])$/);
    if (!kind) fail(`holds ${name} of type ${type}, not of floats`);
    if (/'fortran_order':\s*True/.test(header)) fail(`holds ${name} in Fortran order`);
    const sets = Object.entries(kpSpec.sets);
    const known = sets.find(([, { points }]) => points === shape[1]);
    if (shape.length !== 3 || !known || shape[2] !== 4 || !(shape[0] > 0)) {
      fail(`holds ${name} of shape (${shape.join(", ")}), not (T, ${sets.map(([, { points }]) => points).join(" or ")}, 4)`);
    }
    const size = Number(kind[2]);
    const count = shape[0] * shape[1] * shape[2];
    if (bytes.length - start !== count * size) fail(`is damaged at ${name}: its size differs from its shape`);
    const little = kind[1] === "<";
    const values = new Float32Array(count);
    for (let at = 0; at < count; at += 1) {
      const place = start + at * size;
      if (size === 4) values[at] = view.getFloat32(place, little);
      else values[at] = size === 8 ? view.getFloat64(place, little) : half(view.getUint16(place, little));
      if (!Number.isFinite(values[at])) values[at] = 0;
    }
    return { values, frames: shape[0], set: known[0] };
  }

  /* All videos of an npz: [{name, frames, values, set}], values being x, y, z, visibility of every point of a set that is
     known by its number of points. */
  async function read(buffer) {
    const view = new DataView(buffer);
    let members;
    try {
      members = buffer.byteLength < 22 ? fail("is no npz: it is too short") : directory(view);
    } catch (error) {
      if (error instanceof RangeError) fail("is damaged: its table of contents points outside it");
      throw error;
    }
    const videos = [];
    for (const member of members) {
      if (!member.name.endsWith(".npy")) fail(`holds ${member.name}, which is not an array`);
      const name = member.name.slice(0, -4);
      member.name = name;
      try {
        videos.push({ name, ...array(await content(view, member), name) });
      } catch (error) {
        if (error instanceof RangeError) fail(`is damaged at ${name}: it points outside the file`);
        throw error;
      }
    }
    return videos.length ? videos : fail("holds no video");
  }

  /* The page's own packing, see pack_points in player.py. */
  async function unpack(text, frames, points) {
    const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const bytes = await inflate(packed, "deflate");
    const { steps } = kpSpec;
    const half = frames * points * 2;
    const xy = new Float32Array(half);
    const seen = new Uint8Array(frames * points);
    for (let series = 0; series < points * 2; series += 1) {
      let value = 0;
      for (let frame = 0; frame < frames; frame += 1) {
        const at = series * frames + frame;
        value = (value + bytes[at] + (bytes[half + at] << 8)) & 0xffff;
        xy[frame * points * 2 + series] = (value > 0x7fff ? value - 0x10000 : value) / steps;
      }
    }
    for (let point = 0; point < points; point += 1) {
      for (let frame = 0; frame < frames; frame += 1) seen[frame * points + point] = bytes[2 * half + point * frames + frame];
    }
    return { xy, seen };
  }

  return { read, unpack };
})();
