"""Whether something that is locked is known to be vulnerable: `uv audit` (OSV) for Python, `npm audit` for npm's.

It fails on a finding. A service that cannot be reached says nothing against what is audited: that is told in a banner,
and fails only where KEYTURN_REQUIRE_AUDIT is set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sbom import ROOT, uv

NPM = {
    "npm packages of the interop tests": ROOT / "tests" / "interop" / "oidc_provider",
    "npm packages of Azurite": ROOT / "tests" / "azurite",
}
_SECONDS = 120
# How uv says that it got no answer, or not one of that service.
_AWAY = ("error sending request", "Request failed after", "HTTP status", "timed out", "operation timeout")


@dataclass(frozen=True)
class Outcome:
    """`findings` in words; `away`: why nothing is known."""

    what: str
    findings: str = ""
    away: str = ""


def python(more: Sequence[str] = ()) -> Outcome:
    """Every package of `uv.lock`, those of the tests too. Raises `RuntimeError` when it fails for another reason."""
    what = "Python packages of uv.lock"
    told = _run([uv(), "audit", "--locked", "--preview-features", "audit", *more], ROOT)
    if told is None:
        return Outcome(what, away="uv audit did not end in time")
    if told.returncode == 0:
        return Outcome(what)
    if told.returncode == 1:
        return Outcome(what, findings=told.stdout)
    if any(words in told.stderr for words in _AWAY):
        return Outcome(what, away=told.stderr.strip().splitlines()[-1].strip())
    raise RuntimeError(told.stderr)


def npm(what: str, folder: Path) -> Outcome:
    """What tests install from npm by the lock file of a folder."""
    if shutil.which("npm") is None:
        return Outcome(what, away="there is no npm here")
    told = _run(["npm", "audit", "--json", "--package-lock-only"], folder)
    if told is None:
        return Outcome(what, away="npm audit did not end in time")
    try:
        answer = json.loads(told.stdout)
    except ValueError:
        return Outcome(what, away="npm audit said nothing that can be read")
    if "auditReportVersion" not in answer:
        return Outcome(what, away=str(answer.get("message") or answer.get("error") or "no report"))
    found = answer["vulnerabilities"]
    lines = [f"{name} {item['range']}: {item['severity']}" for name, item in found.items()]
    return Outcome(what, findings="\n".join(lines))


def main() -> int:
    """Audit all and say what came of it."""
    failed = False
    for outcome in (python(sys.argv[1:]), *(npm(what, folder) for what, folder in NPM.items())):
        if outcome.findings:
            print(f"✗ {outcome.what}:\n{outcome.findings}")
            failed = True
        elif outcome.away:
            line = f"!! NOT AUDITED: {outcome.what} !! {outcome.away}"
            print("!" * len(line), line, "!" * len(line), sep="\n")
            failed |= bool(os.environ.get("KEYTURN_REQUIRE_AUDIT"))
        else:
            print(f"✓ No known vulnerability in the {outcome.what}")
    return 1 if failed else 0


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603, PLW1510
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    sys.exit(main())
