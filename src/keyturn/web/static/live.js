// Parts of a page that the server draws anew: a sample that is asked for once, and what is watched until it ends.
const FOCUSABLE = "a, button, summary, input, [tabindex]";

async function part(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (!response.ok || response.redirected) throw new Error(String(response.status));
  return response;
}

function draw(box, html, again) {
  const page = new DOMParser().parseFromString(html, "text/html");
  // Whoever is on a button stays on it.
  const at = [...box.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  box.replaceChildren(...[...page.body.childNodes].map((node) => document.importNode(node, true)));
  again(box);
  if (at >= 0) box.querySelectorAll(FOCUSABLE)[at]?.focus({ preventScroll: true });
}

function announce(box) {
  const place = document.querySelector("[data-announce]");
  const words = box.querySelector(".lede")?.textContent;
  if (place && words && place.textContent !== words) place.textContent = words;
}

function watch(box, again) {
  let last = "";
  const look = async () => {
    if (!box.isConnected) return;
    let pause = Number(box.dataset.every);
    try {
      const response = await part(box.dataset.poll);
      const onward = response.headers.get("Keyturn-Location");
      if (onward) return location.assign(onward);
      const html = await response.text();
      if (html !== last) draw(box, html, again);
      last = html;
      if (response.headers.get("Keyturn-Final") || !html.includes("spin") && box.dataset.channel) {
        announce(box);
        return undefined;
      }
    } catch {
      pause = 5000;
    }
    timer = setTimeout(look, document.hidden ? Math.max(pause, 2000) : pause);
    return undefined;
  };
  let timer = setTimeout(look, Number(box.dataset.every));
  if (box.dataset.channel && "BroadcastChannel" in window) {
    new BroadcastChannel(box.dataset.channel).onmessage = () => { clearTimeout(timer); look(); };
  }
}

export function start(root, again) {
  for (const box of root.querySelectorAll("[data-poll]")) watch(box, again);
  for (const box of root.querySelectorAll("[data-load]")) {
    part(box.dataset.load).then(async (response) => draw(box, await response.text(), again), () => {
      box.textContent = "The sample could not be read just now. Press Find rows again.";
    });
  }
}
