"""Refuse files over 400 lines and functions over 40 (docstring and signature not counted)."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE_MOST, FUNCTION_MOST = 400, 40


def problems(path: Path) -> list[str]:
    """What is too long in one file."""
    text = path.read_text("utf-8")
    found = []
    if text.count("\n") > FILE_MOST:
        found.append(f"{path}: {text.count(chr(10))} lines, at most {FILE_MOST}")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
        if length > FUNCTION_MOST:
            found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_MOST}")
    return found


def main() -> int:
    """Look at every Python file below the folders named."""
    skipped = {"versions"}
    files = [p for root in sys.argv[1:] for p in sorted(Path(root).rglob("*.py")) if p.parent.name not in skipped]
    found = [line for path in files for line in problems(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
