// Times are printed in UTC; this says them in the reader's zone, and lets what still runs tick.
(() => {
  const two = n => String(n).padStart(2, "0");
  const clock = d => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;

  // As workflows/words.py says it, but coarser below ten seconds and never in milliseconds: it ticks.
  function duration(ms) {
    const s = Math.max(ms, 0) / 1000, n = Math.floor(s);
    if (s < 60) return s < 10 ? `${Math.floor(s * 10) / 10} s` : `${n} s`;
    if (n < 3600) return `${Math.floor(n / 60)} m ${two(n % 60)} s`;
    if (n < 86400) return `${Math.floor(n / 3600)} h ${two(Math.floor(n % 3600 / 60))} m`;
    return `${Math.floor(n / 86400)} d ${Math.floor(n % 86400 / 3600)} h`;
  }

  // As workflows/words.py says it.
  function ago(ms) {
    const s = Math.floor(Math.max(ms, 0) / 1000);
    for (const [size, word] of [[86400, "day"], [3600, "hour"], [60, "min"]]) {
      const many = Math.floor(s / size);
      if (many) return `${many} ${word}${many !== 1 && word !== "min" ? "s" : ""} ago`;
    }
    return s < 10 ? "just now" : `${s} s ago`;
  }

  function moment(d) {
    const day = d.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
    return `${d.toDateString() === new Date().toDateString() ? "today" : day}, ${clock(d)}`;
  }

  function say(time) {
    const d = new Date(time.dateTime), as = time.dataset.as;
    if (isNaN(d)) return;
    if (as === "exact") time.textContent = `${clock(d)}.${String(d.getMilliseconds()).padStart(3, "0")}`;
    else if (as === "clock") time.textContent = clock(d);
    else if (as === "moment") time.textContent = moment(d);
    else if (as === "elapsed") time.textContent = duration(Date.now() - d);
    else if (as === "ago") time.textContent = ago(Date.now() - d);
    if (as !== "elapsed") time.title = d.toLocaleString();
  }

  // A bar that still grows: from its own start to now, on an axis of data-span milliseconds.
  function grow(bar) {
    const from = parseFloat(bar.getAttribute("x"));
    const width = (Date.now() - new Date(bar.dataset.since)) / bar.dataset.span * 100;
    bar.setAttribute("width", `${Math.min(Math.max(width, 0.8), 100 - from)}%`);
  }

  function tick() {
    document.querySelectorAll("time:is([data-as=elapsed], [data-as=ago])").forEach(say);
    document.querySelectorAll("rect[data-since]").forEach(grow);
  }

  const sayAll = root => root.querySelectorAll("time[data-as]").forEach(say);
  new MutationObserver(changes => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeType === 1) sayAll(node);
  }).observe(document.body, { childList: true, subtree: true });

  document.addEventListener("htmx:after:swap", () => {
    document.querySelectorAll("time[data-as]:not([data-as=exact])").forEach(say);
    tick();
  });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.querySelectorAll("[data-zone]").forEach(e => { e.textContent = `Times in ${zone.replaceAll("_", " ")}`; });
  sayAll(document);
  tick();
  setInterval(tick, 500);
})();
