"""What Keyturn consists of, as CycloneDX JSON: every locked package of a running Keyturn, extras included.

uv writes it out of `uv.lock`, with versions, hashes and who needs whom; the product's own version is added.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import keyturn  # noqa: E402


def uv() -> str:
    """The uv that the Makefile uses."""
    return os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")


def sbom() -> dict[str, object]:
    """The list, of runtime packages alone."""
    words = ["export", "--locked", "--quiet", "--format", "cyclonedx1.5", "--no-dev", "--all-extras"]
    command = [uv(), *words, "--preview-features", "sbom-export"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    found = json.loads(told)
    version = keyturn.__version__
    found["metadata"]["component"] |= {
        "type": "application",
        "version": version,
        "purl": f"pkg:pypi/keyturn@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    return found


def main() -> None:
    """Write it to the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    file.parent.mkdir(parents=True, exist_ok=True)
    found = sbom()
    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    components = found["components"]
    assert isinstance(components, list)  # noqa: S101
    print(f"{len(components)} packages in {file}")


if __name__ == "__main__":
    main()
