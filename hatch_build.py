"""Builds the compiled core beside its Python where there is a C compiler; without one all is the same, but slower."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# No contraction: each product is rounded by itself.
FLAGS = ("-O2", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off")


class CoreBuildHook(BuildHookInterface):
    """A wheel with the core is of this platform, one without it of all."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile; say so and go on where that is not possible."""
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / "src" / "keyturn" / "core"
        made = folder / "core.native"
        if not _compiled(folder / "core.c", made):
            self.app.display_warning("keyturn: no C compiler, so reading will be slower. Everything else is the same.")
            return
        build_data["artifacts"].append("src/keyturn/core/core.native")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _compiled(source: Path, made: Path) -> bool:
    """Whether `made` is there now, of this source: an older one never stays."""
    made.unlink(missing_ok=True)
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform == "win32":
        return False
    part = made.with_suffix(f".{os.getpid()}")
    done = subprocess.run([compiler, *FLAGS, "-o", str(part), str(source)], check=False)  # noqa: S603 - what is built is our own
    if done.returncode == 0:
        part.replace(made)
    return done.returncode == 0
