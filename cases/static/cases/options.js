// An offered answer goes into the field where it can still be changed; nothing is sent by choosing it.
for (const button of document.querySelectorAll("button[data-fills]")) {
  button.addEventListener("click", () => {
    const field = document.getElementById(button.dataset.fills);
    field.value = button.textContent;
    field.focus();
  });
}
