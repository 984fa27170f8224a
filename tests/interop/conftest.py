"""Authorization servers that others wrote, installed if missing and started on loopback; a browser that fills forms."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
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


# By client id; those of None have no secret.
OIDC_PROVIDER_SECRETS = {
    "basic": "sec:ret+%41/&= ~",
    "post": "post-secret",
    "private_key_jwt": None,
    "private_key_jwt_par_dpop": None,
    "client_secret_jwt": "a-long-shared-secret-of-at-least-32-bytes",
    "none": None,
    "par": "par-secret",
    "dpop": "dpop-secret",
    "organisation": "organisation-secret-1",
}


@dataclass
class Installed:
    """A running authorization server of others."""

    url: str
    process: subprocess.Popen
    client_id: str
    client_secret: str | None
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
            if httpx2.get(url + path).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None, "the authorization server ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _oidc_providers() -> Iterator[Any]:
    """Starts node oidc-provider for a redirect URI: `start(callback, access_token_seconds, client, nonces)`."""
    running: list[subprocess.Popen] = []

    def start(
        callback: str,
        *,
        access_token_seconds: int = 3600,
        client: str = "basic",
        nonces: bool = False,
        registration_token: str = "",
        port: int = 0,
        id_alg: str = "RS256",
    ) -> Installed:
        url = f"http://127.0.0.1:{(port := port or free_port())}"
        environment = {"PATH": os.environ["PATH"], "PORT": str(port), "CALLBACK": callback}
        # The key set is the one that the client of that redirect URI publishes.
        jwks_uri = callback.replace("/oauth2/callback/", "/oauth2/jwks/")
        environment |= {"AT_TTL": str(access_token_seconds), "JWKS_URI": jwks_uri, "DPOP_NONCE": str(int(nonces))}
        environment |= {"REGISTRATION_TOKEN": registration_token, "ID_ALG": id_alg}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(["node", "server.mjs"], cwd=_npm_folder(), env=environment, **quiet)
        running.append(process)
        _started(process, url, "/.well-known/openid-configuration")
        return Installed(
            url,
            process,
            client,
            OIDC_PROVIDER_SECRETS[client],
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
            elif kind not in {"checkbox", "radio"} or "checked" in found:
                self.forms[-1]["fields"].setdefault(found["name"], []).append(found.get("value") or "")


@pytest.fixture(scope="session")
def person() -> Any:
    """Signs in as a person would: `person(start_url, answers)` follows redirects and fills every form.

    `known`: a browser that has cookies already; `until`: the host whose first page ends it.
    """

    def sign_in(
        start_url: str, answers: dict[str, str], known: httpx2.Client | None = None, until: str = ""
    ) -> httpx2.Response:
        made = contextlib.nullcontext(known) if known else httpx2.Client(follow_redirects=True, timeout=30)
        with made as browser:
            page = browser.get(start_url)
            for _ in range(8):
                forms = _Forms()
                forms.feed(page.text)
                form = next((f for f in forms.forms if f["method"].lower() == "post"), None)
                if form is None or page.status_code >= 400 or page.url.host == until:
                    return page
                fields = {**form["fields"], **{k: v for k, v in answers.items() if k in form["fields"]}}
                # A person who signs in does not press Abort.
                if form.get("button", ("abort",))[0] != "abort":
                    fields |= {form["button"][0]: form["button"][1]}
                origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
                headers = {"Origin": origin, "Referer": str(page.url)}
                page = browser.post(str(page.url.join(form["action"])), data=fields, headers=headers)
            return page

    return sign_in


def _environment_of(name: str, *packages: str) -> Path:
    """A virtual environment of its own below `.interop`, made once."""
    folder = INSTALLED / name
    folder.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            base = getattr(sys, "_base_executable", sys.executable)
            subprocess.run([base, "-m", "venv", "--clear", folder / "venv"], check=True, timeout=120)
            install = [folder / "venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*install, *packages], check=True, timeout=600)
            (folder / "ready").touch()
    return folder


@pytest.fixture
def jupyterhub(tmp_path) -> Iterator[Any]:
    """Starts JupyterHub 6 for a redirect URI: no refresh token, body authentication only, its own paging type."""
    running: list[subprocess.Popen] = []

    def start(callback: str, *, access_token_seconds: int = 3600) -> Installed:
        folder = _environment_of("jupyterhub", "jupyterhub==6.1.1")
        if not (folder / "node_modules" / "configurable-http-proxy").is_dir():
            npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", "configurable-http-proxy@5.3.0"]
            subprocess.run(npm, cwd=folder, check=True, timeout=300)
        ports = [free_port() for _ in range(3)]
        url = f"http://127.0.0.1:{ports[0]}"
        path = f"{folder / 'node_modules/.bin'}:{folder / 'venv/bin'}:{os.environ['PATH']}"
        environment = {
            "PATH": path,
            "HOME": str(tmp_path),
            "PORTS": ",".join(map(str, ports)),
            "CALLBACK": callback,
            "AT_TTL": str(access_token_seconds),
            "CONFIGPROXY_AUTH_TOKEN": "for-tests-only",
        }
        command = [folder / "venv/bin/jupyterhub", "-f", HERE / "jupyterhub" / "jupyterhub_config.py"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **quiet)
        running.append(process)
        _started(process, url, "/hub/api/")
        return Installed(
            url,
            process,
            "service-es",
            "jupyter-secret-0123456789",
            f"{url}/hub/api/oauth2/authorize",
            f"{url}/hub/api/oauth2/token",
            "",
            "list:users read:users",
            {},
            {"username": "ada", "password": "ada-password-1"},
        )

    yield start
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _reviewboard_site(tools: Path, site: Path, environment: dict[str, str]) -> None:
    """A seeded site beside a WSGI module that loads it."""
    install = f"""--noinput --no-color --domain-name=127.0.0.1 --allowed-host=127.0.0.1 --db-type=sqlite3
        --db-name={site.parent}/rb.db --cache-type=file --cache-info={site.parent}/cache --admin-user=ada
        --admin-password=ada-password-1 --admin-email=ada@example.test --opt-out-support-data""".split()
    run = {"env": environment, "cwd": site.parent, "check": True, "timeout": 180, "capture_output": True}
    subprocess.run([tools / "rb-site", "install", site, *install], **run)
    seed = (HERE / "reviewboard" / "seed.py").read_bytes()
    subprocess.run([tools / "rb-site", "manage", site, "shell"], input=seed, **run)
    # Its WSGI file insists on a virtual environment of another tool's making.
    shutil.rmtree(site / "venv", ignore_errors=True)
    if (site / "venv").is_symlink():
        (site / "venv").unlink()
    shutil.copy(site / "htdocs" / "reviewboard.wsgi", site.parent / "es_wsgi.py")


@pytest.fixture
def reviewboard(tmp_path) -> Iterator[Any]:
    """Starts Review Board 8 for a redirect URI: hypermedia paging, vendor JSON types, 250 users."""
    running: list[subprocess.Popen] = []

    def start(callback: str) -> Installed:
        folder = _environment_of("reviewboard", "ReviewBoard==8.1", "gunicorn==27.0.1")
        tools, site, port = folder / "venv/bin", tmp_path / "site", free_port()
        environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path), "CALLBACK": callback}
        _reviewboard_site(tools, site, environment)
        command = [tools / "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "2"]
        command += ["--pythonpath", f"{site / 'conf'},{tmp_path}", "es_wsgi:application"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **quiet)
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        _started(process, url, "/api/")
        return Installed(
            url,
            process,
            "rb-client",
            "rb-secret",
            f"{url}/oauth2/authorize/",
            f"{url}/oauth2/token/",
            "",
            "root:read user:read session:read",
            {},
            {"username": "ada", "password": "ada-password-1"},
        )

    yield start
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
