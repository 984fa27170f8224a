// Signing in at an end system in a window of its own, beside the page that waits for it.
import { fetchPage, focusNews, replaceMain, sayTrouble } from "./page.js";

const SIZE = "popup,width=620,height=760";

function opened() {
  const other = window.open("about:blank", "_blank", SIZE);
  if (other) other.document.title = "Keyturn";
  return other;
}

async function begin(form, again) {
  // Opened at once, while the press of the button still allows it; it is led on when the server has made the link.
  const other = opened();
  try {
    const answer = await fetchPage(form.action, new URLSearchParams(new FormData(form)), { stay: true });
    const start = answer.document.querySelector("[data-start-url]")?.dataset.startUrl;
    if (!start) {
      other?.close();
      replaceMain(answer.document, again);
      return;
    }
    if (other) other.location.replace(start);
    location.assign(answer.url + (other ? "" : "#popup-blocked"));
  } catch (error) {
    other?.close();
    sayTrouble(form, error);
  }
}

export function start(root, again) {
  for (const form of root.querySelectorAll("form[data-popup]")) {
    form.addEventListener("submit", (event) => { event.preventDefault(); begin(form, again); });
  }
  for (const link of root.querySelectorAll("[data-open-window]")) {
    link.addEventListener("click", (event) => {
      const other = window.open(link.href, "_blank", SIZE);
      if (other) event.preventDefault();
    });
  }
  const result = root.querySelector("[data-signed-in]");
  // The waiting page learns the truth from the server; this only wakes it.
  if (result && "BroadcastChannel" in window) new BroadcastChannel("keyturn-sign-in").postMessage("ended");
  const blocked = root.querySelector("#popup-blocked");
  if (blocked && location.hash === "#popup-blocked") blocked.hidden = false;
  if (root === document) focusNews(document);
}
