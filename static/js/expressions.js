// Expressions while somebody writes them: the list of what may be named, and under the field what comes of it.
// The server knows all of both; this asks for it, and puts what was chosen where the cursor is. Loaded before htmx.
(() => {
  const PAUSE_MS = 300;
  const by = id => document.getElementById(id);
  const isOurs = field => Boolean(field.form) && field.form === by("settings") && by(`${field.id}-preview`) !== null;
  const options = () => [...document.querySelectorAll("#names-options [role=option]")];
  let field, from = 0, to = 0, left, timer = 0, coming;

  // What comes of it

  document.addEventListener("input", event => {
    const { target } = event;
    if (target.id === "names-find") return show();
    if (!isOurs(target)) return;
    const isSoon = /\{\{|\{%/.test(target.value) || by(`${target.id}-preview`).hasChildNodes();
    clearTimeout(timer);
    if (isSoon) timer = setTimeout(() => by("b-previews")?.dispatchEvent(new Event("preview")), PAUSE_MS);
    const at = target.selectionStart, isOpened = event.inputType === "insertText" && event.data === "{";
    if (isOpened && !event.isComposing && target.value.slice(at - 2, at) === "{{") open(target, at - 2, at);
  });

  // What may be named

  document.addEventListener("focusout", ({ target }) => { left = target.matches("input, textarea") ? target : left; });
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-insert]"), option = target.closest?.("#names [role=option]");
    if (button) openAt(by(button.dataset.insert));
    else if (option) insert(option.dataset.expression);
    else if (target.closest?.("#names [data-close]") || target === by("names")) by("names").close();
  });

  function openAt(at) {
    const end = at.value.length, isKnown = at === left;  // a field that nobody was in gets it at its end
    open(at, isKnown ? at.selectionStart : end, isKnown ? at.selectionEnd : end);
  }

  function open(...place) {
    [field, from, to] = place;
    by("names-find").value = "";
    by("names").showModal();
    by("names-find").focus();
    show();
    coming = load();
  }

  async function load() {
    const answer = await fetch(by("names").dataset.names, { headers: { "HX-Request": "true" } }).catch(() => null);
    const isThere = answer?.ok && !answer.redirected && !answer.headers.get("HX-Redirect");
    const page = isThere && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("names-list");
    if (page) by("names-list")?.replaceWith(page);
    else if (by("names-list")) by("names-list").firstElementChild.textContent = "The list did not come. Close this, and try again.";
    show();
  }

  function show() {
    const words = by("names-find").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const option of options()) {
      const text = `${option.parentElement.firstElementChild.textContent} ${option.textContent}`.toLowerCase();
      option.hidden = !words.every(word => text.includes(word));
    }
    const shown = options().filter(option => !option.hidden);
    for (const group of document.querySelectorAll("#names-options [role=group]")) group.hidden = !shown.some(one => group.contains(one));
    if (by("names-none")) by("names-none").hidden = !words.length || shown.length > 0;
    mark(shown[0]);
  }

  function mark(option) {
    for (const one of options()) one.setAttribute("aria-selected", one === option);
    if (!option) return by("names-find").removeAttribute("aria-activedescendant");
    by("names-find").setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", event => {
    if (event.target.id !== "names-find" || event.isComposing) return;
    const shown = options().filter(option => !option.hidden), at = shown.findIndex(one => one.ariaSelected === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) mark(shown[(at + step + shown.length) % shown.length]);
    if (event.key === "Enter") coming.then(choose);  // who types fast is ahead of the list
    if (step || event.key === "Enter") event.preventDefault();
  });

  function choose() {
    if (!by("names").open) return;
    const chosen = options().find(one => one.ariaSelected === "true"), text = by("names-find").value;
    insert(chosen?.dataset.expression ?? `{{ ${text.replace(/\}\}\s*$/, "").trim()} }}`);
  }

  function insert(expression) {
    by("names").close();
    field.focus();
    field.setRangeText(fitting(expression), from, to, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  // Within {{ }} only the name is missing; within JSON it stands in a text.
  function fitting(expression) {
    const before = field.value.slice(0, from), rest = before + field.value.slice(to);
    if (before.lastIndexOf("{{") > before.lastIndexOf("}}")) return expression.slice(2, -2).trim();
    if (field.dataset.look !== "json" || !rest.trim()) return expression;
    const isInText = (before.replace(/\\./g, "").match(/"/g) ?? []).length % 2;
    return isInText ? JSON.stringify(expression).slice(1, -1) : JSON.stringify(expression);
  }
})();
