/* Videos that the reader flags, kept by this browser for this page; every .kp-flags shows them for the config. */
const kpFlags = (() => {
  const store = `kpsbatch ${location.pathname}`;
  const flagged = new Set();
  const listeners = [];
  try {
    for (const one of JSON.parse(localStorage.getItem(store) ?? "[]")) flagged.add(String(one));
  } catch { /* a browser that keeps nothing */ }

  function changed() {
    try { localStorage.setItem(store, JSON.stringify([...flagged])); } catch { /* as above */ }
    for (const listener of listeners) listener();
  }
  function toggle(name) {
    if (!flagged.delete(name)) flagged.add(name);
    changed();
  }
  const yaml = () => ["dataset:", "  exclude:", ...[...flagged].map((one) => `    - ${JSON.stringify(one)}`)].join("\n");

  async function copy(host) {
    const list = host.querySelector("pre");
    try {
      await navigator.clipboard.writeText(list.textContent);
      host.querySelector(".kp-copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(list);
      host.querySelector(".kp-copied").textContent = "Press Ctrl-C.";
    }
  }
  function show(host) {
    host.hidden = !flagged.size;
    host.querySelector("b").textContent = `${flagged.size} flagged`;
    host.querySelector("pre").textContent = yaml();
    host.querySelector(".kp-copied").textContent = "";
  }
  function start() {
    for (const host of document.querySelectorAll(".kp-flags")) {
      const [copies, clears] = host.querySelectorAll("button");
      copies.addEventListener("click", () => copy(host));
      clears.addEventListener("click", () => { flagged.clear(); changed(); });
      listeners.push(() => show(host));
      show(host);
    }
  }
  return { has: (name) => flagged.has(name), toggle, listen: (listener) => listeners.push(listener), start };
})();
kpFlags.start();
