// Copy buttons, and saving a shown secret as a file.
async function copied(button, text) {
  const words = button.querySelector("span") || button;
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(text);
    words.textContent = "Copied";
  } catch {
    words.textContent = "Select and copy";
  }
  setTimeout(() => { words.textContent = before; }, 2000);
}

export function start(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => {
      const source = document.getElementById(button.dataset.copy);
      const selection = getSelection();
      selection.selectAllChildren(source);
      copied(button, source.textContent.trim());
    });
  }
  for (const button of root.querySelectorAll("[data-copy-text]")) {
    button.addEventListener("click", () => copied(button, button.dataset.copyText));
  }
  for (const button of root.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => {
      const text = document.getElementById(button.dataset.download).textContent.trim();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/plain" }));
      link.download = button.dataset.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}
