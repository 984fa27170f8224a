// What is shown and hidden on the page itself: tabs, the fields of a choice, a suggested name, the public URL's check.
function tabs(list) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab, focus) => {
    for (const other of all) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    choose(all[(to + all.length) % all.length], true);
  });
}

// A link to a panel opens its tab.
function opener(link) {
  link.addEventListener("click", (event) => {
    const tab = document.getElementById(link.dataset.opens);
    if (!tab) return;
    event.preventDefault();
    tab.click();
    tab.focus();
  });
}

// A file's text goes where it could be pasted.
function fileInto(place) {
  const target = document.getElementById(place.dataset.fileInto);
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "help";
  label.textContent = "or open a file ";
  input.type = "file";
  input.accept = ".json,.yaml,.yml,.txt";
  input.addEventListener("change", async () => {
    if (input.files[0]) target.value = await input.files[0].text();
    target.focus();
  });
  label.append(input);
  place.replaceChildren(label);
}

function publicUrl(line) {
  const told = line.dataset.publicUrl;
  line.textContent = location.origin === told
    ? `✓ You are on ${told}, same as Public URL.`
    : `✗ You are on ${location.origin} but the server was told ${told}. The operator sets KEYTURN_PUBLIC_URL=${location.origin}`;
}

// The fields of the choice that is made: also of one made before this script ran, or restored by the browser.
function fieldsOf(select) {
  const show = () => {
    for (const option of select.options) {
      const box = document.getElementById(select.dataset.shows + option.value);
      if (box) box.hidden = option.value !== select.value;
    }
  };
  select.addEventListener("change", show);
  show();
}

export function start(root) {
  for (const list of root.querySelectorAll("[data-tabs]")) tabs(list);
  // The tab one is on is seen where not all of them fit.
  for (const tab of root.querySelectorAll(".tabs [aria-current]")) {
    const list = tab.parentElement;
    list.scrollLeft = tab.offsetLeft + tab.offsetWidth - list.offsetLeft - list.clientWidth;
  }
  for (const link of root.querySelectorAll("[data-opens]")) opener(link);
  for (const place of root.querySelectorAll("[data-file-into]")) fileInto(place);
  for (const select of root.querySelectorAll("[data-shows]")) fieldsOf(select);
  for (const line of root.querySelectorAll("[data-public-url]")) publicUrl(line);
  // What one OAuth 2.0 client asks for is shown while it is chosen.
  const parts = root.querySelectorAll("[data-of-client]");
  const show = () => {
    const chosen = root.querySelector("input[name=auth]:checked")?.value;
    for (const part of parts) part.hidden = chosen !== `client:${part.dataset.ofClient}`;
  };
  if (parts.length) {
    for (const radio of root.querySelectorAll("input[name=auth]")) radio.addEventListener("change", show);
    show();
  }
  for (const radio of root.querySelectorAll("input[data-name]")) {
    radio.addEventListener("change", () => {
      const name = document.getElementById("name");
      if (name && (!name.value || name.dataset.suggested === name.value)) {
        name.value = radio.dataset.name;
        name.dataset.suggested = radio.dataset.name;
      }
    });
  }
}
