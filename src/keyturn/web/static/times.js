// Times come in UTC and are shown in the reader's own zone, with the zone said.
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const withYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

function words(at, kind, begins) {
  if (kind === "clock") return clock.format(at);
  const today = new Date();
  if (at.toDateString() === today.toDateString()) return `${begins ? "Today" : "today"} ${clock.format(at)}`;
  return at.getFullYear() === today.getFullYear() ? day.format(at).replace(",", "") : withYear.format(at);
}

export function start(root) {
  for (const element of root.querySelectorAll("time[data-local]")) {
    const at = new Date(element.dateTime);
    element.title = exact.format(at);
    element.textContent = words(at, element.dataset.local, !element.previousSibling?.textContent.trim());
  }
}
