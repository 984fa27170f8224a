// A sample's rows: a menu for each, and a look into what is nested. What they show came with the page, in a template.
const DOTS = '<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#i-ellipsis"/></svg>';

function peekInto(box, title, text, child) {
  const dialog = box.querySelector("dialog[data-peek]");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("pre").textContent = text;
  const make = dialog.querySelector("[data-child]");
  if (make) {
    make.hidden = !child;
    make.value = child || "";
  }
  dialog.showModal();
  dialog.querySelector("pre").scrollTop = 0;
}

function button(words, inside, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.setAttribute("aria-label", words);
  if (inside) made.innerHTML = inside;
  made.addEventListener("click", () => press(made));
  return made;
}

function openMenu(box, at, opener) {
  const menu = box.querySelector("[data-row-menu]");
  menu.dataset.at = at;
  menu.setAttribute("aria-label", `Row ${at + 1}`);
  menu.showPopover({ source: opener });
  const place = opener.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(place.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(place.bottom + 4, innerHeight - menu.offsetHeight - 8))}px`;
  menu.style.right = "auto";
  menu.querySelector("button").focus();
}

function sample(box) {
  const rows = JSON.parse(box.querySelector("template[data-rows]").content.textContent);
  const menu = box.querySelector("[data-row-menu]");
  const chosen = () => rows[Number(menu.dataset.at)];
  for (const head of box.querySelectorAll("th[data-row]")) {
    const at = Number(head.dataset.row);
    if (!rows[at]) continue;
    const made = button(`Row ${at + 1}, menu`, DOTS, (opener) => openMenu(box, at, opener));
    made.setAttribute("aria-haspopup", "true");
    head.prepend(made);
  }
  for (const cell of box.querySelectorAll("td[data-nested]")) {
    const at = Number(cell.parentElement.querySelector("th[data-row]").dataset.row);
    const text = rows[at]?.nested[cell.dataset.nested];
    if (text === undefined) continue;
    const title = `${cell.dataset.nested} of row ${at + 1}`;
    const made = button(`Look into ${title}`, "", () => peekInto(box, title, text, cell.dataset.child));
    made.append(...cell.childNodes);
    cell.append(made);
  }
  const copy = menu.querySelector("[data-row-copy]");
  copy.addEventListener("click", async () => {
    const words = copy.querySelector("span");
    try {
      await navigator.clipboard.writeText(chosen().json);
      words.textContent = "Copied";
    } catch {
      menu.hidePopover();
      peekInto(box, `Row ${Number(menu.dataset.at) + 1}: select and copy`, chosen().json);
    }
    setTimeout(() => { words.textContent = "Copy as JSON"; }, 2000);
  });
  menu.querySelector("[data-row-raw]").addEventListener("click", () => {
    menu.hidePopover();
    peekInto(box, `Row ${Number(menu.dataset.at) + 1}, as the API sent it`, chosen().raw ?? "It is not known how this row came.");
  });
  const dialog = box.querySelector("dialog[data-peek]");
  for (const closer of dialog.querySelectorAll("[data-close], [data-child]")) {
    closer.addEventListener("click", () => dialog.close());
  }
}

export function start(root) {
  for (const box of root.querySelectorAll("[data-sample]")) sample(box);
}
