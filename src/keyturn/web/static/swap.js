// Forms are sent in place: what is wrong comes back as a new <main>, and secrets stay where they were typed.
import { fetchPage, replaceMain, sayTrouble } from "./page.js";

export function start(root, again) {
  for (const form of root.querySelectorAll("form[data-swap]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form, event.submitter, again);
    });
  }
}

async function send(form, submitter, again) {
  if (form.classList.contains("busy")) return;
  form.classList.add("busy");
  form.setAttribute("aria-busy", "true");
  const wait = submitter?.dataset.wait;
  const before = submitter?.textContent;
  const patience = setTimeout(() => { if (wait) submitter.textContent = wait; }, 300);
  try {
    const url = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
    const answer = await fetchPage(url, new URLSearchParams(new FormData(form, submitter)));
    if (answer.left) return;
    replaceMain(answer.document, again);
  } catch (error) {
    sayTrouble(form, error);
  } finally {
    clearTimeout(patience);
    if (wait && submitter) submitter.textContent = before;
    form.classList.remove("busy");
    form.removeAttribute("aria-busy");
  }
}
