"""What Keyturn consists of is listed, and asked after at the services that know of vulnerabilities."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import keyturn

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import sbom

ROOT = Path(__file__).parents[2]
ADVISORY = "GHSA-aaaa-bbbb-cccc"


def locked_at_runtime() -> set[str]:
    """Each name that the product or one of its extras needs, straight or through others, by the lock file itself."""
    packages = {item["name"]: item for item in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}

    def needed(item: dict, extras: set[str]) -> set[tuple[str, str]]:
        wanted = [*item.get("dependencies", ())]
        for extra in extras:
            wanted += item.get("optional-dependencies", {}).get(extra, ())
        return {(one["name"], extra) for one in wanted for extra in ("", *one.get("extra", ()))}

    waiting = needed(packages["keyturn"], set(packages["keyturn"]["optional-dependencies"]))
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) not in seen:
            seen.add((name, extra))
            waiting |= needed(packages[name], {extra} - {""})
    return {name for name, _ in seen} - {"keyturn"}


def test_the_sbom_lists_every_locked_runtime_package_and_no_tool_of_the_tests():
    found = sbom.sbom()
    versions = {item["name"]: item["version"] for item in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
                if "version" in item}  # fmt: skip
    names = [item["name"] for item in found["components"]]
    assert set(names) == locked_at_runtime()
    assert "pytest" not in names
    assert (found["bomFormat"], found["metadata"]["component"]["version"]) == ("CycloneDX", keyturn.__version__)
    for item in found["components"]:
        assert item["version"] == versions[item["name"]]
        assert (
            item["purl"]
            == f"pkg:pypi/{item['name']}@{item['version']}" + (item["purl"].partition("@" + item["version"])[2])
        )
        assert all(re.fullmatch(r"[0-9a-f]{64}", of["content"]) for file in item["externalReferences"]
                   for of in file["hashes"])  # fmt: skip


class Advisories(BaseHTTPRequestHandler):
    """As much of OSV and of npm's registry as an audit asks; `bad` names what is vulnerable."""

    bad = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/querybatch":
            known = {"vulns": [{"id": ADVISORY, "modified": "2026-01-01T00:00:00Z"}]}
            asked = [query["package"]["name"] for query in json.loads(body)["queries"]]
            self._answer({"results": [known if name == self.bad else {} for name in asked]})
        else:
            told = {
                "id": 1,
                "url": "https://example.com",
                "title": "Bad",
                "severity": "high",
                "vulnerable_versions": "*",
            }
            self._answer({self.bad: [told]} if self.bad else {})

    def do_GET(self) -> None:
        told = {"id": ADVISORY, "modified": "2026-01-01T00:00:00Z", "summary": "It leaks.", "affected": []}
        self._answer(told if ADVISORY in self.path else {"name": self.bad, "versions": {}})

    def _answer(self, value: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def advisories():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def audit(url: str, **environment: str) -> tuple[int, str]:
    environment = {"npm_config_registry": url, "npm_config_fetch_retries": "0", "UV_HTTP_RETRIES": "0"} | environment
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "audit.py"), "--service-url", url],
        env=os.environ | environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


def test_a_known_vulnerability_fails_the_audit(advisories, monkeypatch):
    monkeypatch.setattr(Advisories, "bad", "jinja2")
    code, said = audit(advisories)
    assert (code, ADVISORY in said, "jinja2" in said) == (1, True, True)


def test_nothing_known_passes(advisories):
    code, said = audit(advisories, KEYTURN_REQUIRE_AUDIT="1" if shutil.which("npm") else "")
    assert (code, "No known vulnerability in the Python packages" in said) == (0, True)


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm here")
def test_a_known_vulnerability_of_an_npm_package_fails_the_audit(advisories, monkeypatch):
    monkeypatch.setattr(Advisories, "bad", "oidc-provider")
    code, said = audit(advisories)
    assert (code, "oidc-provider" in said) == (1, True), said


def test_a_service_that_is_away_is_said_loudly_and_fails_only_where_an_audit_is_required():
    code, said = audit("http://127.0.0.1:9")
    assert (code, "NOT AUDITED: Python packages" in said) == (0, True), said
    assert audit("http://127.0.0.1:9", KEYTURN_REQUIRE_AUDIT="1")[0] == 1
