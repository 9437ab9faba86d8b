/* What the tests of the player ask of its page. */
const kpFind = (name) => document.querySelector(`.kp-${name}`);
const kpFrames = async (count = 3) => { for (; count > 0; count -= 1) await new Promise(requestAnimationFrame); };
const kpReady = async () => {
  while (!document.querySelector(".kp-player.kp-ready")) await kpFrames(1);
  await kpPictures();
  return kpFind("now").textContent;
};
/* Until every picture that was asked for can be drawn, and has been. */
const kpPictures = async () => {
  await kpFrames(2);
  while (kpFind("player").dataset.waiting !== "0") await kpFrames(1);
  await kpFrames(2);
};
const kpFrame = () => Number(kpFind("scrub").value);
const kpSet = (node, value, event) => { node.value = value; node.dispatchEvent(new Event(event, { bubbles: true })); };
const kpBox = (label) => [...document.querySelectorAll(".kp-parts label")].find((one) => one.textContent.trim() === label).querySelector("input");
const kpPixels = (canvas, left, top, width, height) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(left, top, width, height).data];
};
const kpPixel = async (x, y, canvas = kpFind("first")) => {
  await kpPictures();
  return kpPixels(canvas, Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).slice(0, 3);
};
/* The share of a canvas that has a colour, about. */
const kpShare = (canvas, red, green, blue) => {
  const data = kpPixels(canvas, 0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    count += Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 30;
  }
  return count / canvas.width / canvas.height;
};
/* Where a colour is on a canvas, on average, from 0 at its left edge to 1. */
const kpMiddle = (canvas, red, green, blue) => {
  const data = kpPixels(canvas, 0, 0, canvas.width, canvas.height);
  let [sum, count] = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    if (Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) >= 30) continue;
    sum += (at / 4) % canvas.width;
    count += 1;
  }
  return sum / count / canvas.width;
};
const kpBytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
async function kpDrop(files) {
  const results = {};
  for (const [name, text] of Object.entries(files)) {
    const transfer = new DataTransfer();
    transfer.items.add(new File([kpBytes(text)], name));
    const before = kpFind("player").dataset.opened ?? "0";
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    while ((kpFind("player").dataset.opened ?? "0") === before) await kpFrames(1);
    const list = [...document.querySelectorAll(".kp-list button")];
    results[name] = {
      problem: kpFind("problem").hidden ? "" : kpFind("problem").textContent,
      shown: list.find((one) => one.ariaCurrent)?.textContent, videos: Math.max(1, list.length), now: kpFind("now").textContent,
    };
  }
  return results;
}
/* Plays for some frames of the screen: [milliseconds since the first, frame of the video]. */
async function kpPlay(count) {
  kpFind("play").click();
  const seen = [];
  for (let step = 0; step < count; step += 1) {
    const time = await new Promise(requestAnimationFrame);
    seen.push([time, kpFrame()]);
  }
  kpFind("play").click();
  return seen;
}
const kpInk = () => [...document.querySelectorAll(".kp-tracks canvas")].map((canvas) => {
  const frames = Number(kpFind("scrub").max) + 1;
  return [0, frames - 1].map((at) => kpPixels(canvas, Math.floor((at + 0.12) * canvas.width / frames), Math.floor(canvas.height * 0.1), 1, 1)[3] > 0);
});

/* Accessibility: names, roles, sizes and contrast of what is visible. */
const kpVisible = (node) => node.checkVisibility() && node.getClientRects().length > 0;
const kpName = (node) => node.getAttribute("aria-label") ?? (node.labels?.[0]?.textContent.trim() || node.textContent.trim());
function kpAccessibility() {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => rgb.map((value) => channel(value / 255)).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const colour = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const [red, green, blue, alpha = 1] = colour(getComputedStyle(one).backgroundColor);
      if (alpha === 1) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const contrast = (node) => {
    const [a, b] = [light(colour(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const controls = [...document.querySelectorAll("button, select, input, summary, .kp-link")].filter(kpVisible);
  const texts = [...document.querySelectorAll("body *")].filter((node) => kpVisible(node) && !["SCRIPT", "OPTION"].includes(node.tagName)
    && [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim()));
  const target = (node) => (["checkbox", "file"].includes(node.type) ? node.closest("label") : node).getBoundingClientRect().height;
  return {
    controls: controls.length, texts: texts.length,
    nameless: controls.filter((node) => !kpName(node)).map((node) => node.outerHTML.slice(0, 90)),
    twice: controls.filter((node, at) => controls.findIndex((other) => kpName(other) === kpName(node)) !== at).map(kpName),
    unreachable: controls.filter((node) => node.tabIndex < 0).map(kpName),
    canvases: [...document.querySelectorAll("canvas")].filter((node) => node.getAttribute("role") !== "img" || !node.getAttribute("aria-label")).length,
    small: controls.filter((node) => target(node) < 22).map(kpName),
    faint: texts.filter((node) => contrast(node) < 4.5).map((node) => `${node.textContent.trim().slice(0, 30)} ${contrast(node).toFixed(2)}`),
    roles: [document.documentElement.lang, kpFind("now").getAttribute("role"), kpFind("problem").getAttribute("role")],
    overflow: [...document.querySelectorAll("body *")].filter((node) => kpVisible(node) && node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.outerHTML.slice(0, 80)),
    sideways: document.documentElement.scrollWidth > innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
  };
}
