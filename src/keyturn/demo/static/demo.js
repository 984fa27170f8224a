// Copy buttons: the only thing a script does here. Without a clipboard the text is selected, ready for Ctrl+C.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    said = "Selected";
  }
  button.textContent = said;
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
