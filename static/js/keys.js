// Ctrl+Enter (or Cmd+Enter) sends the form that one types in; "/" goes to the search field.
document.addEventListener("keydown", event => {
  const field = event.target;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field.form) {
    event.preventDefault();
    field.form.requestSubmit(field.form.querySelector("[data-ctrl-enter]") ?? undefined);
  }
  const isTyping = field.matches?.("input, textarea, select, [contenteditable]");
  const search = document.querySelector("input[type=search]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && search) {
    event.preventDefault();
    search.focus();
  }
});
