// The log of the execution page while it is live. Its connection is connection.js's.
// It keeps no state that the page does not show: where to go on is read from the last entry.
(() => {
  const KEPT = 1000;           // rows in the page while it follows its end: layout grows with them
  const KEPT_IN_ALL = 20000;   // and while somebody reads further up
  const box = document.getElementById("log-box");
  const follow = document.getElementById("follow"), count = document.getElementById("entries-count");
  if (!box) return;
  const log = box.querySelector(".log"), older = box.querySelector(".older");
  const lastSeen = () => Number(log.lastElementChild?.dataset.seq ?? 0);

  document.addEventListener("hello", ({ detail }) => { detail.after = lastSeen(); });
  // The Cancel button is about to vanish under whoever pressed it: the keyboard goes on from the page, not from nowhere.
  document.addEventListener("htmx:after:swap", () => {
    const held = document.activeElement?.closest(".when-going");
    if (held && getComputedStyle(held).display === "none") document.getElementById("main").focus({ preventScroll: true });
  });
  // So is the form of an answer: the keyboard goes on at what is wrong with it, or from the page once it was taken.
  let answering = null;
  document.addEventListener("htmx:before:swap", () => { answering = document.activeElement?.closest("[data-answer]"); });
  document.addEventListener("htmx:after:swap", () => {
    if (!answering || answering.isConnected) return;
    const again = document.getElementById(answering.parentElement.id);
    (again?.querySelector("[role=alert], [aria-invalid=true]") ?? document.getElementById("main")).focus({ preventScroll: true });
    answering = null;
  });

  // The end of the log: followed by whoever stands there, left alone for whoever reads further up.
  const isAtEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const jump = () => { if (follow.checked) box.scrollTop = box.scrollHeight; };
  const toEnd = () => { jump(); requestAnimationFrame(jump); };  // rows take their true height when they are seen
  let heightBefore = 0, shownBefore = log.firstElementChild;

  function trim() {
    const most = follow.checked ? KEPT : KEPT_IN_ALL, extra = log.childElementCount - most;
    if (extra < most / 10) return;  // in portions, not row by row
    for (let n = 0; n < extra; n++) log.firstElementChild.remove();
    const first = Number(log.firstElementChild.dataset.seq), link = older.querySelector("a");
    for (const name of ["href", "hx-get"]) link.setAttribute(name, link.getAttribute(name).replace(/\d+$/, first));
    link.textContent = `Show ${(first - 1).toLocaleString("en")} earlier entries`;
    older.hidden = false;
  }

  new MutationObserver(() => {
    const wentUp = !follow.checked && log.firstElementChild !== shownBefore;
    if (wentUp) box.scrollTop += box.scrollHeight - heightBefore;  // older entries came in above: stay where we read
    trim();
    if (follow.checked) toEnd();
    heightBefore = box.scrollHeight;
    shownBefore = log.firstElementChild;
    if (lastSeen()) count.textContent = `${lastSeen().toLocaleString("en")} entries`;
  }).observe(log, { childList: true });

  box.addEventListener("scroll", () => { follow.checked = isAtEnd(); heightBefore = box.scrollHeight; }, { passive: true });
  follow.addEventListener("change", () => { if (follow.checked) toEnd(); });
  const level = document.getElementById("level");
  const show = () => { level.closest(".x-log").dataset.show = level.value; if (follow.checked) toEnd(); };
  level.closest(".end").hidden = false;  // without script there is nothing that could filter
  level.addEventListener("change", show);
  show();  // a reload keeps what was chosen
  const sizes = new ResizeObserver(toEnd);
  sizes.observe(box);
  sizes.observe(log);
  older.addEventListener("click", () => { follow.checked = false; });
  if (!location.hash) toEnd();
})();
