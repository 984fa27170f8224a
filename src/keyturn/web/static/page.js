// Asking the server for a page in place of a navigation.
const UNREACHABLE = "We can’t reach the server. Your changes are kept here; try again in a moment.";
const SIGNED_OUT = "You were signed out. Sign in again in another tab, then press the button once more.";

// POSTs and answers {left: true} when the browser goes to another page, else {document, url}.
export async function fetchPage(url, body, { stay = false } = {}) {
  let response;
  try {
    response = await fetch(url, { method: "POST", body, headers: { Accept: "text/html" }, credentials: "same-origin" });
  } catch {
    throw new Error(UNREACHABLE);
  }
  if (response.status === 401 && !location.pathname.startsWith("/sign-in") || new URL(response.url).pathname === "/sign-in") {
    throw new Error(SIGNED_OUT);
  }
  if (response.redirected && !stay) {
    location.assign(response.url);
    return { left: true };
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!page.querySelector("main")) throw new Error("The server answered something we cannot show. Try again.");
  if (page.body.classList.contains("bare") && !document.body.classList.contains("bare")) {
    const error = new Error(page.querySelector(".notice p")?.textContent || "This did not work. Open the page again.");
    error.prove = page.querySelector("[data-prove]")?.getAttribute("href");
    throw error;
  }
  return { document: page, url: response.url, redirected: response.redirected };
}

export function replaceMain(page, again) {
  const old = document.querySelector("main");
  const fresh = document.importNode(page.querySelector("main"), true);
  for (const input of old.querySelectorAll("input[type=password]")) {
    const twin = input.id && fresh.querySelector(`#${CSS.escape(input.id)}`);
    if (twin && !twin.value) twin.value = input.value;
  }
  for (const details of old.querySelectorAll("details[open]")) {
    const words = details.querySelector("summary")?.firstChild?.nextSibling?.textContent;
    for (const twin of fresh.querySelectorAll("details")) {
      if (words && twin.querySelector("summary")?.firstChild?.nextSibling?.textContent === words) twin.open = true;
    }
  }
  const tabs = [...old.querySelectorAll("[data-tabs] [aria-selected=true]")].map((tab) => tab.id);
  old.replaceWith(fresh);
  document.title = page.title;
  again(fresh);
  // Whoever looked at a tab goes on looking at it.
  for (const id of tabs) document.getElementById(id)?.click();
  focusNews(fresh);
}

export function focusNews(root) {
  const news = root.querySelector("[data-focus]");
  if (news) news.focus();
}

export function sayTrouble(form, { message, prove }) {
  form.querySelector("[data-trouble]")?.remove();
  const box = document.createElement("div");
  box.className = "notice";
  box.dataset.kind = "error";
  box.dataset.trouble = "";
  box.setAttribute("role", "alert");
  box.tabIndex = -1;
  const words = document.createElement("p");
  words.textContent = message;
  if (prove) {
    // In a window of its own, so that what was typed here stays.
    const link = document.createElement("a");
    link.href = prove;
    link.target = "_blank";
    link.textContent = "Type it in another tab";
    words.append(" ", link, ", then press the button once more.");
  }
  box.append(document.createElement("span"), words);
  form.prepend(box);
  box.focus();
}
