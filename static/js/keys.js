// Keys. Ctrl+Enter (or Cmd+Enter) sends the form that one types in. Everything else is said by the page:
//   data-key="n"       is clicked; a field gets the focus. Two keys in a row are written "g w"
//   data-key-focus="x" gets the focus alone: what cannot be taken back waits for Enter
//   data-key-next="j" data-key-back="k" data-key-among=".link" data-key-name="step"   moves the focus among such
// Never in a text field, never with a modifier, never Tab, and only Ctrl+Enter where single keys are switched off.
(() => {
  const PATIENCE = 1500;  // ms for the second key of two
  const isOff = document.documentElement.dataset.keys === "off";
  const list = document.getElementById("keys");
  const TYPING = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";
  const FIELD = "input:not([type=checkbox], [type=radio]), textarea, select";
  let first = "", firstAt = 0;

  document.addEventListener("keydown", event => {
    const at = event.target;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && at.form && !event.repeat) {
      event.preventDefault();
      at.form.requestSubmit(at.form.querySelector("[data-ctrl-enter]") ?? undefined);
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return closeMenu();
    if (isOff || event.key.length !== 1 || event.key === " " || at.closest?.(TYPING)) return;
    if (pressed(event.key)) event.preventDefault();
  });

  function pressed(key) {
    const both = Date.now() - firstAt < PATIENCE ? `${first} ${key}` : "";
    first = key;
    firstAt = Date.now();
    return (both && act(both)) || act(key) || document.querySelector(`[data-key^="${CSS.escape(key)} "]`) !== null;
  }

  function act(key) {
    const of = name => [...document.querySelectorAll(`[${name}="${CSS.escape(key)}"]`)];
    const isShown = element => element.checkVisibility({ visibilityProperty: true }) && !element.disabled;
    const there = of("data-key").find(isShown) ?? of("data-key").find(element => element.matches("a[href], [data-opens]"));
    const held = of("data-key-focus").find(isShown);
    if (there?.matches(FIELD)) { there.focus(); there.select?.(); }
    else if (there) there.click();  // links in a closed menu too: they only lead somewhere
    else if (held) held.focus();
    else return move(key, "next", 1) || move(key, "back", -1);
    first = "";
    return true;
  }

  function move(key, way, by) {
    const among = document.querySelector(`[data-key-${way}="${CSS.escape(key)}"]`);
    if (!among) return false;
    const all = [...among.querySelectorAll(among.dataset.keyAmong)], at = all.indexOf(document.activeElement);
    if (!all.length) return false;
    const next = all[(at < 0 && by < 0 ? all.length - 1 : at + by + all.length) % all.length];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  function closeMenu() {
    const open = document.querySelector("details[name=menus][open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  }

  // The list of this page's keys, and the same for screen readers at each place. "g w" has no spelling there.
  const named = element => element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent.trim()
    ?? [...element.childNodes].filter(node => node.ariaHidden !== "true").map(node => node.textContent).join("").trim();

  function keysHere() {
    const found = new Map([["Send the form", "Ctrl Enter"], ["Close a menu or a list", "Esc"]]);
    if (isOff) return found;
    for (const element of document.querySelectorAll("[data-key], [data-key-focus]"))
      found.set(named(element), element.dataset.key ?? element.dataset.keyFocus);
    for (const { dataset } of document.querySelectorAll("[data-key-name]")) {
      if (dataset.keyNext) found.set(`Next ${dataset.keyName}`, dataset.keyNext);
      if (dataset.keyBack) found.set(`Previous ${dataset.keyName}`, dataset.keyBack);
    }
    return found;
  }

  function row([what, keys]) {
    const li = document.createElement("li"), pressed = document.createElement("span");
    pressed.append(...keys.split(" ").map(key => Object.assign(document.createElement("kbd"), { textContent: key })));
    li.append(`${what} `, pressed);
    return li;
  }

  function openList() {
    list.querySelector("ul").replaceChildren(...[...keysHere()].map(row));
    list.querySelector(".note").hidden = !isOff;
    closeMenu();  // the focus comes back to what is still there
    list.showModal();
  }

  document.querySelectorAll("[data-opens=keys]").forEach(button => {
    button.hidden = false;
    button.addEventListener("click", openList);
  });
  document.addEventListener("click", event => {  // a menu closes when one goes on elsewhere
    for (const open of document.querySelectorAll("details[name=menus][open]")) if (!open.contains(event.target)) open.open = false;
  });

  function tell() {
    if (isOff) return;
    for (const element of document.querySelectorAll("[data-key], [data-key-focus]")) {
      const key = element.dataset.key ?? element.dataset.keyFocus;
      if (!key.includes(" ")) element.setAttribute("aria-keyshortcuts", key);
    }
  }
  document.addEventListener("htmx:after:swap", tell);
  tell();
})();
