"""`keyturn demo`: starts both sides and performs the main job over real HTTP, a line per step, as a person would."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from keyturn.demo.app import create_app as create_end_system
from keyturn.errors import Conflict, KeyturnError, UpstreamError
from keyturn.server import logs
from keyturn.server.app import create_app, prepare
from keyturn.server.config import read_config

EMAIL = "admin@demo.example"
_WAIT_SECONDS = 60.0
_FORM = re.compile(r'<form[^>]*method="post"[^>]*action="([^"]*)"(.*?)</form>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, where, and how far to go by itself."""

    port: int
    end_system_port: int
    data: Path
    once: bool
    by_hand: bool
    reset: bool

    @property
    def url(self) -> str:
        """Keyturn's address; the other host name keeps cookies apart as in life."""
        return f"http://localhost:{self.port}"

    @property
    def end_system_url(self) -> str:
        """The demo end system's address."""
        return f"http://127.0.0.1:{self.end_system_port}"


async def run(plan: Plan) -> None:
    """Start both, perform the main job, keep serving. Raises `KeyturnError` if a step failed."""
    logs.configure(log_format="text", level="warning")
    for port in (plan.port, plan.end_system_port):
        _check_port(port)
    if plan.reset:
        _forget(plan.data)
    secret = _own_secrets(plan.data)
    async with _serving(plan, secret) as (setup_url, servers):
        _say(f"Keyturn is at {plan.url} · Demo end system at {plan.end_system_url} · Data in {plan.data} · "
             "Ctrl+C stops both")  # fmt: skip
        if plan.by_hand:
            _say(f"Start here: {setup_url or plan.url}")
        else:
            await _perform(plan, secret["api_token"])
            _say(f"Sign in at {plan.url} as {EMAIL} with the password {secret['password']}")
        if not plan.once:
            await asyncio.wait([asyncio.create_task(_ended(server)) for server in servers],
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip


async def _perform(plan: Plan, api_token: str) -> None:
    """The steps, each over HTTP; what exists from an earlier run is used again."""
    started = time.monotonic()
    headers = {"Authorization": f"Bearer {api_token}"}
    async with httpx2.AsyncClient(base_url=plan.url + "/api/v1", headers=headers, timeout=60) as api:
        client = await _client(plan, api)
        connection = await _connection(plan, api, client)
        table = await _table(api, connection)
        await _import(plan, api, table)
    _say(f"Done in {time.monotonic() - started:.1f} s. Nobody saw a token.")


async def _client(plan: Plan, api: httpx2.AsyncClient) -> dict[str, Any]:
    for client in (await _get(api, "/oauth-clients"))["data"]:
        if client["name"] == "Demo CRM":
            _say("✓ OAuth 2.0 client Demo CRM is registered already")
            return client
    redirect_uri = (await _get(api, "/oauth-clients/redirect-uri?name=Demo%20CRM"))["redirect_uri"]
    async with httpx2.AsyncClient(base_url=plan.end_system_url, headers={"Accept": "application/json"}) as console:
        scopes = ["read:orders", "read:customers", "offline_access"]
        made = await _post(
            console, "/console/apps", {"name": "Keyturn", "redirect_uri": redirect_uri, "scopes": scopes}
        )
    _say(f"✓ Client app created in the developer console of {plan.end_system_url} with the Redirect URI {redirect_uri}")
    client = await _post(
        api,
        "/oauth-clients",
        {
            "name": "Demo CRM",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "authorization_url": made["authorization_url"],
            "token_url": made["token_url"],
            "scopes": " ".join(scopes),
            "redirect_uri": redirect_uri,
            "advanced": {"revocation_url": made["revocation_url"], "issuer": plan.end_system_url},
        },
    )
    check = await _post(api, f"/oauth-clients/{client['id']}/check", {})
    if check["verdict"] != "accepted":
        raise UpstreamError(check["message"], message_code="E-CLIENT")
    _say(f"✓ OAuth 2.0 client Demo CRM registered; {check['message'].split('.')[0].lower()}")
    return client


async def _connection(plan: Plan, api: httpx2.AsyncClient, client: dict[str, Any]) -> dict[str, Any]:
    found = [item for item in (await _get(api, "/connections"))["data"] if item["name"] == "demo"]
    if found:
        connection = found[0]
        _say("✓ Connection demo is made already")
    else:
        connection = await _post(
            api,
            "/connections",
            {
                "name": "demo",
                "base_url": f"{plan.end_system_url}/api/v1",
                "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
                "access": "only_me",
            },
        )
        _say(f"✓ Connection demo made on it, reading {plan.end_system_url}/api/v1")
    if connection["status"] in {"healthy", "needs_attention"}:
        _say(f"✓ Signed in already as {connection['account']}")
        return connection
    begun = await _post(api, f"/connections/{connection['id']}/authorizations", {})
    await _sign_in(begun["start_url"])
    ended = await _get(api, f"/authorizations/{begun['id']}")
    if ended["status"] != "completed":
        raise UpstreamError((ended["error"] or {}).get("message", "The sign-in did not end well."))
    connection = await _get(api, f"/connections/{connection['id']}")
    granted = len(connection["scopes_granted"] or connection["scopes_requested"])
    _say(f"✓ Signed in over the browser's redirects as {connection['account']} · scopes {granted} of "
         f"{len(connection['scopes_requested'])} · refresh token {'yes' if connection['has_refresh_token'] else 'no'}"
         )  # fmt: skip
    return connection


async def _sign_in(start_url: str) -> None:
    """A person's browser: opens the link, presses Continue, allows at the consent page, follows the way back."""
    async with httpx2.AsyncClient(follow_redirects=True, timeout=60) as browser:
        answer = await browser.get(start_url)
        for _ in range(3):
            form = _FORM.search(answer.text)
            if form is None:
                return
            action = str(answer.url.join(unescape(form[1])))
            names = re.findall(r"<input type=\"hidden\" name=\"([^\"]*)\" value=\"([^\"]*)\"", form[2])
            fields = {name: unescape(value) for name, value in names}
            if 'name="decision"' in form[2]:
                fields |= {"decision": "allow", "account": "jane"}
            origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
            answer = await browser.post(action, data=fields, headers={"Origin": origin})


async def _table(api: httpx2.AsyncClient, connection: dict[str, Any]) -> dict[str, Any]:
    for table in (await _get(api, f"/tables?connection_id={connection['id']}"))["data"]:
        if table["name"] == "orders":
            _say("✓ Table demo.orders is saved already")
            return table
    table = await _post(api, "/tables", {"connection_id": connection["id"], "name": "orders", "path": "/orders"})
    for item in table["evidence"]:
        _say(f"  · {item['at']}: {item['sentence']}")
    sample = await _get(api, f"/tables/{table['id']}/preview?limit=3")
    total = sample["reported_total"]
    _say(f"✓ Table demo.orders previewed: sample of {len(sample['rows'])} of {total:,} rows, "
         f"{len(sample['columns'])} columns")  # fmt: skip
    return table


async def _import(plan: Plan, api: httpx2.AsyncClient, table: dict[str, Any]) -> None:
    body = {"table_id": table["id"], "destination": {"type": "parquet", "url": "orders.parquet"}, "mode": "replace"}
    item = await _post(api, "/imports", body)
    deadline = time.monotonic() + _WAIT_SECONDS
    while item["status"] in {"queued", "running", "waiting"}:
        if time.monotonic() > deadline:
            raise UpstreamError("The import did not end within a minute.")
        await asyncio.sleep(0.2)
        item = await _get(api, f"/imports/{item['id']}")
    stamp = item["completeness"] or {}
    if item["status"] != "complete":
        reason = (item["error"] or {}).get("message") or stamp.get("note") or item["status"]
        raise UpstreamError(f"The import ended as {item['status']}: {reason}")
    files = (await _get(api, f"/imports/{item['id']}/files"))["data"]
    path = next((plan.data / "keyturn" / "files").glob(f"*/{files[0]['name']}"), files[0]["name"])
    total = stamp["reported_total"]
    of = f"{stamp['rows']:,} of {total:,} rows" if total is not None else f"{stamp['rows']:,} rows"
    reason = stamp["stop_reason"].replace("_", " ")
    _say(f"✓ Complete: {of}, {stamp['pages']} pages, stopped: {reason} → {path} ({files[0]['bytes']:,} bytes)")


async def _get(client: httpx2.AsyncClient, path: str) -> dict[str, Any]:
    return _checked(await client.get(path))


async def _post(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return _checked(await client.post(path, json=body))


def _checked(response: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json() if response.content else {}
    if response.status_code >= 400:
        problems = "; ".join(f"{item['at']}: {item['message']}" for item in found.get("errors", []))
        sentence = problems or found.get("detail") or str(found)
        raise KeyturnError(sentence, message_code=found.get("message_code"))
    return found


@contextlib.asynccontextmanager
async def _serving(
    plan: Plan, secret: dict[str, str]
) -> AsyncIterator[tuple[str | None, tuple[uvicorn.Server, uvicorn.Server]]]:
    from keyturn.server.commands import server_config

    environment = {
        "KEYTURN_DATA_DIR": str(plan.data / "keyturn"),
        "KEYTURN_BIND": f"127.0.0.1:{plan.port}",
        "KEYTURN_PUBLIC_URL": plan.url,
        "KEYTURN_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{plan.end_system_port}",
    }
    if not plan.by_hand:
        environment |= {
            "KEYTURN_BOOTSTRAP_EMAIL": EMAIL,
            "KEYTURN_BOOTSTRAP_PASSWORD": secret["password"],
            "KEYTURN_BOOTSTRAP_API_TOKEN": secret["api_token"],
        }
    prepared = await prepare(read_config(environment))
    end_system = create_end_system(plan.end_system_url, data_path=plan.data / "end-system.json")
    ours = uvicorn.Server(server_config(create_app(prepared), "127.0.0.1", plan.port))
    theirs = uvicorn.Server(server_config(end_system, "127.0.0.1", plan.end_system_port))
    tasks = [asyncio.create_task(server.serve()) for server in (ours, theirs)]
    try:
        while not (ours.started and theirs.started):
            if any(task.done() for task in tasks):
                raise Conflict("A server did not start. Are both ports free?")
            await asyncio.sleep(0.02)
        yield prepared.setup_url, (ours, theirs)
    finally:
        ours.should_exit = theirs.should_exit = True
        await asyncio.gather(*tasks)


async def _ended(server: uvicorn.Server) -> None:
    while not server.should_exit:  # noqa: ASYNC110 - a plain attribute of uvicorn's
        await asyncio.sleep(0.2)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Conflict(f"Port {port} is busy. The next free one is {_free_after(port)}: use --port or "
                           "--end-system-port.") from None  # fmt: skip


def _free_after(port: int) -> int:
    for candidate in range(port + 1, min(port + 200, 65_536)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    return 0


def _own_secrets(data: Path) -> dict[str, str]:
    """The demo's own password and API token, made once; the file is for its owner alone."""
    data.mkdir(parents=True, exist_ok=True)
    file = data / "sign-in"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(f"demo-{secrets.token_hex(6)}\nkt_{secrets.token_urlsafe(32)}\n", "utf-8")
    password, api_token = file.read_text("utf-8").split()
    return {"password": password, "api_token": api_token}


def _forget(data: Path) -> None:
    """Only what a demo made is removed."""
    if not data.exists():
        return
    if not (data / "sign-in").exists() and any(data.iterdir()):
        raise Conflict(f"{data} was not made by the demo, so --reset leaves it alone.")
    shutil.rmtree(data)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is the command's output
