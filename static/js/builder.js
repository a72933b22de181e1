// The builder: what was typed is saved, says so, and is never lost. The server holds the draft; this holds only what
// is on its way there. Loaded before htmx.
(() => {
  const PAUSE_MS = 500, RETRY_MS = 3000;
  const KEEPALIVE_BYTES = 60000;  // a browser refuses larger requests that shall outlive their page
  const state = () => document.getElementById("b-state");
  const form = () => document.getElementById("settings");
  const isPreview = ctx => ctx?.sourceElement?.id === "b-previews";  // it saves nothing: expressions.js
  const typed = new Map();  // name -> value: typed, and not yet on its way
  const sent = new Map();  // on its way; typed again where it does not arrive, or going on would lose it
  let timer = 0, sending;  // the request that `sent` goes with

  function say(words, isWrong = false) {
    const place = state();
    if (!place) return;
    place.toggleAttribute("data-wrong", isWrong);
    if (place.textContent !== words) place.textContent = words;
  }

  // A pause in typing saves, and so does leaving a field.
  document.addEventListener("input", ({ target }) => {
    if (!target.form || target.form !== form()) return;
    typed.set(target.name, target.type === "checkbox" ? target.checked : target.value);
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE_MS);
  });
  document.addEventListener("change", ({ target }) => { if (target.form && target.form === form()) save(); });
  addEventListener("pagehide", () => save());

  function save(isAgain = false) {
    clearTimeout(timer);
    if (isAgain || typed.size) form()?.dispatchEvent(new Event("save", { bubbles: true }));
  }

  // Requests go one after another; the revision is that of the page when one really leaves, not when it was asked for.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "POST" || isPreview(ctx)) return;
    if (ctx.sourceElement === form()) {
      clearTimeout(timer);
      sending = ctx;
      sent.clear();
      for (const [name, value] of typed) sent.set(name, value);
      typed.clear();
    }
    ctx.fetch = (url, request) => {
      if (state()) request.body.set("revision", state().dataset.revision);
      say("Saving…");
      return fetch(url, { ...request, keepalive: String(request.body).length < KEEPALIVE_BYTES });
    };
  });

  document.addEventListener("htmx:before:response", event => {
    const { ctx } = event.detail, { status } = ctx.response, isSignedOut = Boolean(ctx.hx.redirect);
    if (status < 400 && !isSignedOut || status === 409 || status === 422) return;
    event.preventDefault();  // not ours to show in a part of the page
    if (isPreview(ctx)) return;
    if (ctx.sourceElement !== form()) return isSignedOut ? location.assign(ctx.hx.redirect) : location.reload();
    if (status === 403) renewToken();
    fail(isSignedOut ? "Not saved: you are signed out. Sign in again in another tab; this page then saves by itself." :
      status === 404 ? "Not saved: this step or workflow is gone." : "Not saved. Trying again…", status !== 404);
  });
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (ctx?.request?.method === "POST" && !isPreview(ctx)) fail("Not saved: the server does not answer. Trying again…", ctx.sourceElement === form());
  });

  function fail(words, isAgain) {
    say(words, true);
    clearTimeout(timer);
    if (!isAgain) return;
    for (const [name, value] of sent) if (!typed.has(name)) typed.set(name, value);
    timer = setTimeout(() => save(true), RETRY_MS);
  }
  addEventListener("beforeunload", event => { if (state()?.hasAttribute("data-wrong")) event.preventDefault(); });

  // A new session has a new token; the page asks for itself again and takes only that.
  async function renewToken() {
    const name = "csrfmiddlewaretoken", answer = await fetch(location.href).catch(() => null);
    const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page && page.querySelector(`#builder [name=${name}]`)?.value;
    if (token) document.querySelectorAll(`[name=${name}]`).forEach(field => { field.value = token; });
  }

  // What is typed while an answer is on its way is saved after it, and stands in the new form of the same step.
  // Focus that stood on what a change took away goes to undo, to the step, or where it came from: never to nowhere.
  let kept = new Map(), keptFor = "", hadFocus = false, open;
  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    if (isPreview(ctx)) return;
    hadFocus = document.activeElement !== document.body;
    open = document.querySelector("#b-outline [aria-current]")?.getAttribute("href") ?? open;
    kept = new Map([...(sending === ctx ? [] : sent), ...typed]);  // what waits behind this answer was typed as well
    keptFor = form()?.action ?? "";
    save();
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (isPreview(ctx)) return;
    if (sending === ctx) sent.clear();
    if (form()?.action === keptFor) for (const [name, value] of kept) fill(form().elements[name], value);
    showWhatCounts();
    const place = ctx.request.anchor && document.getElementById(ctx.request.anchor);
    if (place) place.focus();
    const isLost = hadFocus && (document.activeElement === document.body || document.activeElement.disabled);
    const closed = isLost && !document.getElementById("step-title") && document.querySelector(`#b-outline a[href="${open}"]`);
    if (closed) closed.focus();
    else if (isLost) document.querySelector("#step-title, #q, #undo:enabled, #b-outline a")?.focus({ preventScroll: true });
    showSelected();
  });

  // Fields that mean something only beside a certain choice: data-when='{"operation": ["sort"]}'.
  document.addEventListener("change", ({ target }) => { if (target.form && target.form === form()) showWhatCounts(); });
  function showWhatCounts() {
    for (const place of form()?.querySelectorAll("[data-when]") ?? []) {
      const isNow = ([name, wanted]) => {
        const field = form().elements[name];
        return !field || field.value.includes("{{") || wanted.includes(field.type === "checkbox" ? field.checked : field.value);
      };
      place.classList.toggle("is-off", !Object.entries(JSON.parse(place.dataset.when)).every(isNow));
    }
  }

  function fill(field, value) {
    if (typeof value === "boolean") field.checked = value;
    else if (field) field.value = value;
  }

  // A problem of the step that is open leads to its field without asking for the page again.
  document.addEventListener("click", event => {
    const link = event.target.closest?.("a[href*='#setting-']");
    const field = link && link.pathname === location.pathname && document.getElementById(link.hash.slice(1));
    if (!field || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    field.focus();
  }, true);

  document.addEventListener("keydown", event => {
    const isTyping = event.target.matches?.("input:not([type=checkbox]), textarea, select");
    const key = event.key.toLowerCase(), isCommand = event.ctrlKey || event.metaKey;
    const name = isCommand && !isTyping && (key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" ? "redo" : "");
    const button = name && document.getElementById(name);
    if (button && !button.disabled) { event.preventDefault(); button.click(); }
    if (event.key === "Escape" && !document.querySelector("dialog[open], details[name=menus][open]"))
      document.querySelector("[data-escape]")?.click();
  });

  // The selected step is where one looks.
  function showSelected() {
    const node = document.querySelector(".node.is-selected"), box = document.getElementById("b-scroll");
    if (!node || !box) return;
    const at = node.getBoundingClientRect(), seen = box.getBoundingClientRect();
    if (at.left < seen.left || at.right > seen.right) box.scrollLeft += at.left - seen.left - (seen.width - at.width) / 2;
    if (at.top < seen.top || at.bottom > seen.bottom) box.scrollTop += at.top - seen.top - (seen.height - at.height) / 2;
  }
})();
