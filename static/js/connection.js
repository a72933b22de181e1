// The socket of a page: what it says on opening, when it stops asking, and the words "Live", "Reconnecting…", "Not live".
// Loaded before htmx, so that the first connection is not missed. What to say, the page's own script adds to the
// "hello" event; a page that has ended says so by an element with data-final.
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const refused = new WeakSet();
  let awaySince = null, isRefused = false;

  const isFinished = () => document.querySelector("[data-final]") !== null;

  function say(look, ...words) {
    if (live.dataset.live === look) return;
    live.dataset.live = look;
    live.replaceChildren(...words);
  }

  function sayStale() {
    const reload = Object.assign(document.createElement("a"), { href: "", className: "link", textContent: "reload" });
    say("stale", `Not live since ${awaySince.toLocaleTimeString()}: `, reload, " to see more");
  }

  function sayState(isOpen) {
    if (isFinished()) return say("done", "Finished");
    if (isOpen) { awaySince = null; return say("on", "Live"); }
    awaySince ??= new Date();
    if (isRefused || Date.now() - awaySince > 8000) return sayStale();
    say("wait", "Reconnecting…");
  }

  // On every opening, the first and each later one: what the page shows already.
  document.addEventListener("htmx:after:ws:connection", event => {
    const hello = {};
    document.dispatchEvent(new CustomEvent("hello", { detail: hello }));
    event.detail.connection.socket.send(JSON.stringify(hello));
    sayState(true);
  });
  // 4401 signed out, 4403 no right, 4404 unknown: asking again would change nothing.
  document.addEventListener("htmx:ws:close", event => {
    const { code, connection } = event.detail;
    if (code >= 4400 && code < 4500) { refused.add(connection); isRefused = true; }
    sayState(false);
  });
  document.addEventListener("htmx:before:ws:connection", event => {
    if (refused.has(event.detail.connection) || isFinished()) event.preventDefault();
  });
  // It has ended; or it had, and goes on: somebody repaired it.
  document.addEventListener("htmx:after:swap", () => { if (isFinished() || live.dataset.live === "done") sayState(true); });
  // A form that was refused (signed out meanwhile, no right any more) says so on a whole page, unless it has a place
  // for that very answer (hx-status:422).
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    const status = ctx?.response?.status;
    if (status >= 400 && !ctx.sourceElement.getAttribute?.(`hx-status:${status}`)) location.reload();
  });
  setInterval(() => { if (awaySince) sayState(false); }, 1000);
  if (isFinished()) say("done", "Finished"); else say("wait", "Connecting…");
})();
// After everything is loaded: htmx may have looked at the page before its WebSocket extension was. Twice does no harm.
document.addEventListener("DOMContentLoaded", () => htmx.process(document.body));
