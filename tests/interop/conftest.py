"""Authorization servers that others wrote, installed if missing and started on loopback; a browser that fills forms."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest

from world import EndSystem, World, free_port

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".interop"


@dataclass
class Installed:
    """A running authorization server of others."""

    url: str
    process: subprocess.Popen
    client_id: str
    client_secret: str
    authorization_url: str
    token_url: str
    revocation_url: str
    scopes: str
    advanced: dict[str, Any]
    answers: dict[str, str]


def _npm_folder() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("npm is missing, and interop with oidc-provider must run in CI")
        pytest.skip("NOT TESTED: interop with oidc-provider needs npm and node")
    folder = INSTALLED / "oidc-provider"
    folder.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "package-lock.json", "server.mjs"):
            shutil.copy(HERE / "oidc_provider" / name, folder / name)
        if not (folder / "node_modules" / "oidc-provider").is_dir():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, timeout=300)
    return folder


def _started(process: subprocess.Popen, url: str, path: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx2.get(url + path).status_code < 500:
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None, "the authorization server ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _oidc_providers() -> Iterator[Any]:
    """Starts node oidc-provider for a redirect URI: `start(callback, access_token_seconds, client)`."""
    running: list[subprocess.Popen] = []

    def start(callback: str, *, access_token_seconds: int = 3600, client: str = "basic") -> Installed:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "CALLBACK": callback,
            "AT_TTL": str(access_token_seconds),
        }
        process = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=_npm_folder(),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.append(process)
        _started(process, url, "/.well-known/openid-configuration")
        secret = {"basic": "sec:ret+%41/&= ~", "post": "post-secret"}[client]
        return Installed(
            url,
            process,
            client,
            secret,
            f"{url}/auth",
            f"{url}/token",
            f"{url}/token/revocation",
            "openid offline_access email",
            {"authorize": {"params": {"prompt": "consent"}}, "issuer": url},
            {"login": "ada", "password": "any"},
        )

    yield start
    for process in running:
        process.kill()
        process.wait(10)


# One for each test, or one for all tests of a module.
oidc_provider = pytest.fixture(_oidc_providers)
shared_oidc_provider = pytest.fixture(_oidc_providers, scope="module")


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("shared"), EndSystem())
    yield made
    made.close()


@pytest.fixture
def django_oauth_toolkit(tmp_path) -> Iterator[Any]:
    """Starts django-oauth-toolkit with its own database for a redirect URI."""
    running: list[subprocess.Popen] = []

    def start(callback: str, *, access_token_seconds: int = 3600) -> Installed:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {
            "PATH": os.environ["PATH"],
            "DB": str(tmp_path / "django.db"),
            "CALLBACK": callback,
            "AT_TTL": str(access_token_seconds),
            "DJANGO_SETTINGS_MODULE": "es_site",
            "PYTHONPATH": str(HERE / "django_oauth_toolkit"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        subprocess.run([sys.executable, "-m", "es_site"], env=environment, check=True, timeout=60)
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{port}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.append(process)
        _started(process, url, "/admin/login/")
        return Installed(
            url,
            process,
            "dot-client",
            "s:e+c/r%41e&t =1",
            f"{url}/o/authorize/",
            f"{url}/o/token/",
            f"{url}/o/revoke_token/",
            "read",
            {},
            {"username": "ada", "password": "ada-password-1"},
        )

    yield start
    for process in running:
        process.kill()
        process.wait(10)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append({"action": found.get("action") or "", "method": found.get("method", "get"), "fields": {}})
        elif self.forms and tag in {"input", "button"} and found.get("name"):
            kind = (found.get("type") or "").lower()
            if kind in {"submit", "button", ""} and tag == "button":
                self.forms[-1].setdefault("button", (found["name"], found.get("value") or ""))
            elif kind == "submit":
                # The last submit button is the one that allows, where there are several.
                self.forms[-1]["button"] = (found["name"], found.get("value") or "")
            else:
                self.forms[-1]["fields"][found["name"]] = found.get("value") or ""


@pytest.fixture(scope="session")
def person() -> Any:
    """Signs in as a person would: `person(start_url, answers)` follows redirects and fills every form."""

    def sign_in(start_url: str, answers: dict[str, str]) -> httpx2.Response:
        with httpx2.Client(follow_redirects=True, timeout=30) as browser:
            page = browser.get(start_url)
            for _ in range(8):
                forms = _Forms()
                forms.feed(page.text)
                form = next((f for f in forms.forms if f["method"].lower() == "post"), None)
                if form is None or page.status_code >= 400:
                    return page
                fields = {**form["fields"], **{k: v for k, v in answers.items() if k in form["fields"]}}
                if "button" in form:
                    fields |= {form["button"][0]: form["button"][1]}
                origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
                headers = {"Origin": origin, "Referer": str(page.url)}
                page = browser.post(str(page.url.join(form["action"])), data=fields, headers=headers)
            return page

    return sign_in
