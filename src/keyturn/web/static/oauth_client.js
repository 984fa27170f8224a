// The OAuth 2.0 client's form while one types: Redirect URI, lifetimes in words, scopes as chips, and second looks.
function later(call, milliseconds = 200) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(call, milliseconds); };
}

// By its name alone: what is typed into chips has the id, and what is sent has the name.
function named(form, name) {
  return form.querySelector(`[name="${CSS.escape(name)}"]`);
}

async function ask(path, values) {
  const response = await fetch(`${path}?${new URLSearchParams(values)}`, { credentials: "same-origin" });
  return response.ok && !response.redirected ? response.json() : null;
}

function redirectUri(form) {
  const field = form.querySelector("[data-redirect-uri]");
  const name = named(form, "name");
  const place = document.getElementById("redirect_uri");
  if (!field || !place) return;
  const show = async () => {
    const found = await ask("/admin/oauth-clients/redirect-uri", { name: name.value.trim() });
    if (!found) return;
    place.textContent = found.redirect_uri;
    field.value = name.value.trim() ? found.redirect_uri : "";
  };
  name.addEventListener("input", later(show));
  // Shown by the server for this very name, so it is what was promised.
  if (name.value.trim()) field.value = place.textContent.trim();
  // The name may be sent before the answer is here: then nothing is promised.
  name.addEventListener("input", () => { field.value = ""; });
}

function lifetime(input) {
  const box = input.closest(".field");
  const hint = box.querySelector("[data-hint=units]");
  const use = hint.querySelector("button");
  const show = async () => {
    const found = await ask("/admin/oauth-clients/lifetime", { value: input.value, kind: input.dataset.lifetime });
    if (!found) return;
    box.querySelector("output").textContent = found.words;
    hint.hidden = !found.warning;
    hint.querySelector("span").textContent = found.warning || "";
    use.textContent = `Use ${found.meant || ""}`;
    use.dataset.useMs = found.meant || "";
  };
  input.addEventListener("input", later(show));
  input.addEventListener("change", async () => {
    const found = await ask("/admin/oauth-clients/lifetime", { value: input.value, kind: input.dataset.lifetime });
    if (found && found.ms !== null) input.value = String(found.ms);
  });
  use.addEventListener("click", () => { input.value = use.dataset.useMs; show(); input.focus(); });
}

function chips(input) {
  const box = document.createElement("div");
  box.className = "input chips";
  const said = document.createElement("span");
  said.className = "sr";
  said.setAttribute("role", "status");
  const typing = input.cloneNode();
  typing.removeAttribute("name");
  typing.removeAttribute("data-chips");
  typing.className = "";
  typing.value = "";
  const kept = input;
  kept.type = "hidden";
  kept.removeAttribute("id");
  kept.removeAttribute("aria-describedby");
  const list = () => kept.value.split(/\s+/).filter(Boolean);
  const draw = () => {
    for (const chip of box.querySelectorAll(".chip")) chip.remove();
    for (const scope of list()) {
      const chip = document.createElement("span");
      chip.className = "chip";
      chip.textContent = scope;
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${scope}`);
      remove.addEventListener("click", () => { drop(scope); typing.focus(); });
      chip.append(remove);
      typing.before(chip);
    }
    kept.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const drop = (scope) => {
    kept.value = list().filter((other) => other !== scope).join(" ");
    said.textContent = `${scope} removed`;
    draw();
  };
  const take = () => {
    const fresh = typing.value.split(/\s+/).filter(Boolean);
    if (fresh.length === 0) return;
    kept.value = [...new Set([...list(), ...fresh])].join(" ");
    typing.value = "";
    draw();
  };
  typing.addEventListener("input", () => { if (/\s/.test(typing.value)) take(); });
  typing.addEventListener("blur", take);
  typing.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && typing.value) { event.preventDefault(); take(); }
    if (event.key === "Backspace" && !typing.value && list().length) drop(list().at(-1));
  });
  kept.form.addEventListener("submit", take, { capture: true });
  box.addEventListener("click", (event) => { if (event.target === box) typing.focus(); });
  kept.before(box);
  box.append(typing);
  kept.after(said);
  kept.redraw = draw;
  draw();
}

// What the chosen Authentication Type does not need is not shown: nobody signs in where the client acts for itself.
function types(form) {
  const type = named(form, "authentication_type");
  const look = () => {
    for (const part of document.querySelectorAll("[data-for-type]")) {
      part.hidden = !part.dataset.forType.split(" ").includes(type.value);
    }
  };
  type.addEventListener("change", look);
}

function hints(form) {
  const value = (name) => named(form, name)?.value ?? "";
  const hint = (name) => form.querySelector(`[data-hint=${name}]`);
  const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
  let commas = false;
  const look = () => {
    hint("secret-id").hidden = !guid.test(value("client_secret").trim());
    hint("swapped").hidden = !/\/token\/?$/.test(value("authorization_url"));
    hint("commas").hidden = commas || !value("scopes").includes(",") || value("advanced.authorize.scope_separator") === ",";
  };
  form.addEventListener("change", look);
  form.querySelector("[data-swap-urls]").addEventListener("click", () => {
    const one = named(form, "authorization_url");
    const two = named(form, "token_url");
    [one.value, two.value] = [two.value, one.value];
    look();
  });
  form.querySelector("[data-use-spaces]").addEventListener("click", () => {
    const scopes = named(form, "scopes");
    scopes.value = scopes.value.split(/[\s,]+/).filter(Boolean).join(" ");
    scopes.redraw?.();
    look();
  });
  form.querySelector("[data-keep-commas]").addEventListener("click", () => { commas = true; look(); });
  look();
}

// Said before anybody signs in, not when the first access token has ended.
function refreshHint(form) {
  const hint = form.querySelector("[data-hint=norefresh]");
  const value = (name) => named(form, name)?.value ?? "";
  const look = async () => {
    const asked = { authorization_url: value("authorization_url"), scopes: value("scopes"), params: value("advanced.authorize.params") };
    const alone = value("authentication_type") !== "rest_api_oauth2_auth_code";
    const found = alone || !asked.authorization_url ? null : await ask("/admin/oauth-clients/refresh-hint", asked);
    hint.hidden = !found?.sentence;
    if (hint.hidden) return;
    hint.querySelector("span").textContent = found.sentence;
    hint.querySelector("button").onclick = () => {
      const input = named(form, found.at);
      input.value = [input.value.trim(), found.add].filter(Boolean).join(found.at === "scopes" ? " " : "\n");
      input.redraw?.();
      look();
    };
  };
  const soon = later(look);
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  look();
}

// "Did you mean https://…?" gets a button that types it.
function fixes(form) {
  for (const wrong of form.querySelectorAll(".wrong")) {
    const meant = /Did you mean (https?:\/\/\S+?)\?$/.exec(wrong.textContent.trim());
    const input = document.getElementById(wrong.id.replace(/-error$/, ""));
    if (!meant || !input || meant[1].includes("…")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm";
    button.textContent = "Fix";
    button.addEventListener("click", () => { input.value = meant[1]; input.removeAttribute("aria-invalid"); wrong.remove(); input.focus(); });
    wrong.append(button);
  }
}

// Both hosts, before anything is created: a wrong letter in one of them is where secrets would go.
function hosts(form) {
  const place = form.querySelector("[data-hosts]");
  const host = (name) => {
    const input = named(form, name);
    if (!input || input.closest("[hidden]")) return "";
    try { return new URL(input.value.trim()).host; } catch { return ""; }
  };
  const show = () => {
    const [people, tokens] = [host("authorization_url"), host("token_url")];
    place.hidden = !tokens;
    const first = people ? `People sign in at ${people}; ` : "";
    place.textContent = `${first}${first ? "we" : "We"} exchange tokens with ${tokens}.`;
  };
  form.addEventListener("input", show);
  form.addEventListener("change", show);
  show();
}

// A host that we know offers its settings; choosing an end system asks for what its addresses need.
function recognise(form) {
  const hint = form.querySelector("[data-recognised]");
  const picker = document.querySelector("[data-picker]");
  if (!hint || !picker) return;
  const look = async (input) => {
    const found = await ask("/admin/oauth-clients/recognised", { url: input.value });
    hint.hidden = !found?.id || picker.elements.preset.value === found.id;
    if (hint.hidden) return;
    hint.querySelector("span").textContent = [`This is ${found.name}. We know its settings.`, ...found.notes].join(" ");
    hint.querySelector("button").onclick = () => { picker.elements.preset.value = found.id; picker.requestSubmit(); };
  };
  for (const name of ["authorization_url", "token_url"]) {
    const input = named(form, name);
    input.addEventListener("input", later(() => look(input)));
  }
}

export function start(root) {
  for (const form of root.querySelectorAll("[data-client-form]")) {
    redirectUri(form);
    for (const input of form.querySelectorAll("[data-lifetime]")) lifetime(input);
    for (const input of form.querySelectorAll("[data-chips]")) chips(input);
    types(form);
    hosts(form);
    hints(form);
    refreshHint(form);
    recognise(form);
    fixes(form);
  }
}
