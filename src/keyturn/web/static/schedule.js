// The schedule's form while one chooses: when it would run, in the reader's own time; and the reader's timezone.
import * as times from "./times.js";

async function show(form) {
  const values = new URLSearchParams(new FormData(form));
  values.delete("csrf");
  const response = await fetch(`/schedules/next?${values}`, { credentials: "same-origin" });
  if (!response.ok || response.redirected) return;
  const found = await response.json();
  document.querySelector("[data-when-words]").textContent = found.words;
  const list = document.querySelector("[data-next-runs]");
  list.replaceChildren(...found.next_runs.map((at) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = at;
    time.dataset.local = "";
    time.textContent = at;
    item.append(time);
    return item;
  }));
  times.start(list);
}

export function start(root) {
  for (const form of root.querySelectorAll("form[data-schedule]")) {
    const zone = form.elements.namedItem("timezone");
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (form.hasAttribute("data-own-zone") && zone.value === "UTC" && [...zone.options].some((o) => o.value === own)) {
      zone.value = own;
    }
    let timer = 0;
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => show(form), 200); });
    show(form);
  }
}
