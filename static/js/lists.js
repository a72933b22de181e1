// The lists while they are live: which rows they show, how many are chosen, and the days in the reader's own zone.
(() => {
  const marks = kind => Object.fromEntries(
    [...document.querySelectorAll(`[data-${kind}][data-mark]`)].map(row => [row.dataset[kind], row.dataset.mark]));

  document.addEventListener("hello", ({ detail }) => {
    const { asked, bottom } = document.querySelector("[data-asked]")?.dataset ?? {};
    Object.assign(detail, { execution: marks("execution"), workflow: marks("workflow") });
    if (asked !== undefined) Object.assign(detail, { asked, bottom: bottom === undefined ? null : Number(bottom) });
  });

  // Chosen rows are counted; without any there is nothing to press.
  const form = document.getElementById("chosen"), all = document.querySelector("[data-all]");
  if (form) {
    const boxes = () => [...document.querySelectorAll("input[name=id][form=chosen]")];
    const words = form.querySelector("[data-count]"), asItWas = words.textContent;
    const count = () => {
      const of = boxes(), chosen = of.filter(box => box.checked).length;
      words.textContent = chosen ? `${chosen} chosen` : asItWas;
      for (const button of form.querySelectorAll("button")) button.disabled = !chosen;
      Object.assign(all.querySelector("input"), { checked: chosen === of.length, indeterminate: chosen > 0 && chosen < of.length });
    };
    all.hidden = false;
    all.addEventListener("change", event => { for (const box of boxes()) box.checked = event.target.checked; count(); });
    document.addEventListener("change", event => { if (event.target.name === "id") count(); });
    window.addEventListener("pageshow", count);
    count();
  }

  // Home: when another workflow fails, or one is mended, what needs attention is read again, for all of one second's changes.
  const attention = document.getElementById("attention");
  if (attention) {
    const failing = () => [...document.querySelectorAll(".w-last .chip.is-failed")].map(chip => chip.closest("a").href).join();
    let before = failing(), soon = 0;
    document.addEventListener("htmx:after:swap", () => {
      if (failing() === before || soon) return;
      soon = setTimeout(async () => {
        before = failing();
        soon = 0;
        const answer = await fetch(location.href).catch(() => null);
        if (!answer?.ok || attention.contains(document.activeElement)) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        attention.replaceChildren(...page.getElementById("attention")?.childNodes ?? []);
      }, 1000);
    });
  }

  // Days are printed in UTC; here they are the reader's.
  const body = document.querySelector("#rows tbody");
  if (body) {
    const part = (date, what) => date.toLocaleDateString("en", { [what]: "long" });
    const named = date => `${part(date, "weekday")} ${date.getDate()} ${part(date, "month")}`;
    const today = new Date(), yesterday = new Date(today);
    yesterday.setDate(today.getDate() - 1);
    const say = date => {
      if (date.toDateString() === today.toDateString()) return "Today";
      const day = named(date) + (date.getFullYear() === today.getFullYear() ? "" : ` ${date.getFullYear()}`);
      return date.toDateString() === yesterday.toDateString() ? `Yesterday, ${day}` : day;
    };
    const pattern = body.querySelector(".group").cloneNode(true);
    for (const old of body.querySelectorAll(".group")) old.remove();
    let last = "";
    for (const row of [...body.querySelectorAll(".e-row")]) {
      const words = say(new Date(row.querySelector(".e-at time").dateTime));
      if (words === last) continue;
      last = pattern.firstElementChild.textContent = words;
      row.before(pattern.cloneNode(true));
    }
  }
})();
