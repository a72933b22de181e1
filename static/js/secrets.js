// A new secret from inside of a step's form: a dialog, whose form comes from the server and goes there. When it is
// made, its name is chosen in the field, as if somebody had chosen it there. Without this the link leads to its page.
(() => {
  const dialog = () => document.getElementById("new-secret");
  const part = { headers: { "HX-Request": "true" } };
  let field = "";

  document.addEventListener("click", event => {
    const link = event.target.closest?.("a[data-new-secret]");
    if (event.target.closest?.("#new-secret [data-close]")) return dialog().close();
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !dialog()) return;
    event.preventDefault();
    field = link.dataset.newSecret;
    ask(link.href, part, link.href);
  });

  document.addEventListener("submit", event => {
    if (!event.target.matches("#new-secret form")) return;
    event.preventDefault();
    const button = event.target.querySelector(".primary");
    button.disabled = true;  // a second click makes no second secret
    ask(event.target.action, { ...part, method: "POST", body: new FormData(event.target) }).finally(() => { button.disabled = false; });
  });

  async function ask(address, request, otherwise) {
    const answer = await fetch(address, request).catch(() => null);
    const isOurs = answer && !answer.redirected && (answer.ok || answer.status === 422);
    if (!isOurs) return otherwise ? location.assign(otherwise) : say("It was not kept: the server does not answer, or you are signed out. Try again.");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const made = page.querySelector("[data-made]")?.dataset.made;
    made ? choose(made) : show(page);
  }

  function show(page) {
    dialog().replaceChildren(...page.body.childNodes);
    offer();
    if (!dialog().open) dialog().showModal();
    const wrong = dialog().querySelector("[aria-invalid=true]");
    (wrong ?? dialog().querySelector("input:not([type=hidden]), textarea"))?.focus();
  }

  // Where the step's own address leads is where its secret is meant to go: people see it, and may change it.
  function offer() {
    const hosts = dialog().querySelector("[name=hosts]");
    const address = document.querySelector("#settings :is([name=url], [name=base_url])")?.value ?? "";
    if (hosts && !hosts.value && URL.canParse(address)) hosts.value = new URL(address).host;
  }

  function say(words) {
    const note = Object.assign(document.createElement("p"), { className: "note failed", textContent: words });
    note.setAttribute("role", "alert");
    dialog().querySelector("[role=alert].note")?.remove();
    dialog().querySelector("h2")?.after(note);
  }

  function choose(name) {
    for (const select of document.querySelectorAll("select[data-secrets]"))
      if (![...select.options].some(option => option.value === name)) select.add(new Option(name, name));
    dialog().close();
    dialog().replaceChildren();  // with what was typed into it
    const select = document.getElementById(field);
    if (!select) return;
    select.value = name;
    select.focus();
    for (const kind of ["input", "change"]) select.dispatchEvent(new Event(kind, { bubbles: true }));
  }
})();
