// The builder: what was typed is saved, says so, and is never lost. The server holds the draft; this holds only what
// is on its way there. Loaded before htmx.
(() => {
  const RETRY_MS = 3000, KEEPALIVE_BYTES = 60000;  // a browser refuses larger requests that shall outlive their page
  const state = () => document.getElementById("b-state");
  const form = () => document.getElementById("settings");
  let isDirty = false, retry = 0;

  function say(words, isWrong = false) {
    const place = state();
    if (!place || place.textContent === words) return;
    place.toggleAttribute("data-wrong", isWrong);
    place.textContent = words;
  }

  // Requests go one after another; the revision is that of the page when one really leaves, not when it was asked for.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "POST") return;
    ctx.fetch = (url, request) => {
      if (state()) request.body.set("revision", state().dataset.revision);
      if (ctx.sourceElement === form()) isDirty = false;
      say("Saving…");
      return fetch(url, { ...request, keepalive: String(request.body).length < KEEPALIVE_BYTES });
    };
  });

  document.addEventListener("htmx:before:response", event => {
    const { ctx } = event.detail, { status, raw } = ctx.response;
    const isAway = raw.redirected && !new URL(raw.url).pathname.startsWith("/workflows/");
    if (status < 400 && !isAway || status === 409 || status === 422) return clearTimeout(retry);
    event.preventDefault();  // not ours to show in a part of the page
    if (ctx.sourceElement !== form()) return isAway ? location.assign(raw.url) : location.reload();
    if (status === 403 || isAway) renewToken();
    fail(isAway ? "Not saved: you are signed out. Sign in again in another tab; this page then saves by itself." :
      status === 404 ? "Not saved: this step or workflow is gone." : "Not saved. Trying again…", status !== 404);
  });
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (ctx?.request?.method === "POST") fail("Not saved: the server does not answer. Trying again…", ctx.sourceElement === form());
  });

  function fail(words, isAgain) {
    isDirty = true;
    say(words, true);
    clearTimeout(retry);
    if (isAgain) retry = setTimeout(() => send(), RETRY_MS);
  }

  const send = () => form()?.dispatchEvent(new Event("change", { bubbles: true }));

  // A new session has a new token; the page asks for itself again and takes only that.
  async function renewToken() {
    const name = "csrfmiddlewaretoken", answer = await fetch(location.href).catch(() => null);
    const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page && page.querySelector(`#builder [name=${name}]`)?.value;
    if (token) document.querySelectorAll(`[name=${name}]`).forEach(field => { field.value = token; });
  }

  document.addEventListener("input", event => { if (event.target.form && event.target.form === form()) isDirty = true; });
  addEventListener("pagehide", () => { if (isDirty) send(); });
  addEventListener("beforeunload", event => { if (isDirty && state()?.hasAttribute("data-wrong")) event.preventDefault(); });

  document.addEventListener("keydown", event => {
    const isTyping = event.target.matches?.("input, textarea, select");
    const key = event.key.toLowerCase(), isCommand = event.ctrlKey || event.metaKey;
    const name = isCommand && !isTyping && (key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" ? "redo" : "");
    const button = name && document.getElementById(name);
    if (button && !button.disabled) { event.preventDefault(); button.click(); }
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) document.querySelector("[data-escape]")?.click();
  });

  // The selected step is where one looks.
  document.addEventListener("htmx:after:swap", () => {
    const node = document.querySelector(".node.is-selected"), box = document.getElementById("b-scroll");
    if (!node || !box) return;
    const at = node.getBoundingClientRect(), seen = box.getBoundingClientRect();
    if (at.left < seen.left || at.right > seen.right) box.scrollLeft += at.left - seen.left - (seen.width - at.width) / 2;
    if (at.top < seen.top || at.bottom > seen.bottom) box.scrollTop += at.top - seen.top - (seen.height - at.height) / 2;
  });
})();
