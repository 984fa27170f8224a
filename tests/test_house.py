"""What the house promises of itself: documents that are true, packages that stay light, words that have one meaning."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from keyturn import errors
from keyturn.model.messages import MESSAGES
from keyturn.web.errors import STATUS, TITLES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "keyturn"
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "versions")


def test_the_documented_environment_is_the_one_that_is_read():
    named = re.compile(r"\bKEYTURN_[A-Z_]+[A-Z]\b")
    read = {name for path in SOURCES for name in named.findall(path.read_text("utf-8"))}
    documented = set(named.findall((ROOT / "docs" / "reference" / "environment.md").read_text("utf-8")))
    assert read - documented == set(), "read, but not documented"
    assert documented - read == set(), "documented, but not read"


def test_r12_every_dependency_is_pinned_and_its_files_are_known_by_their_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    assert [name for name in wanted if not re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==\d", name)
            and not name.startswith("keyturn[")] == []  # fmt: skip
    locked = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    files = [
        (package["name"], file)
        for package in locked
        if "registry" in package["source"]
        for file in [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
    ]
    assert len(files) > 100
    assert [name for name, file in files if not re.fullmatch(r"sha256:[0-9a-f]{64}", file.get("hash", ""))] == []
    assert {package["name"] for package in locked if "registry" not in package["source"]} == {"keyturn"}


def test_every_error_has_a_status_and_a_title():
    codes = {
        found.code
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.KeyturnError)
    }
    assert codes <= set(STATUS)
    assert set(STATUS) == set(TITLES)


def test_every_message_code_that_is_used_has_its_sentence():
    used = re.compile(r"""(?:message_code=|say\(\s*)["'](E-[A-Z0-9-]+)["']""")
    found = {code for path in SOURCES for code in used.findall(path.read_text("utf-8"))}
    # Worded where they arise, since their sentence is made of what was found there.
    worded_there = {"E-TLS"}
    assert found - set(MESSAGES) - worded_there == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), path


def test_the_library_loads_no_server_and_no_arrow():
    program = "import sys, keyturn; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"fastapi", "starlette", "sqlalchemy", "aiohttp", "pyarrow", "uvicorn"} & set(ran.stdout.split())


def test_every_room_is_on_the_architecture_page_and_back():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    drawn = set(re.findall(r"[├└]── ([a-z_]+)/", text))
    assert drawn == rooms
    for name in re.findall(r"`((?:web|services|storage|rest|oauth|jobs|model|columns|destinations)/[a-z_/]+)`", text):
        assert (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir(), name


@pytest.mark.parametrize("word", ["pypi.org", "npmjs.org", "registry.npmjs", "deb.debian.org", "files.pythonhosted"])
def test_no_document_or_code_names_a_registry(word):
    kinds = {".py", ".md", ".toml", ".html", ".js", ".css", ".yaml"}
    paths = [path for folder in ("src", "docs", "tests", "tools") for path in (ROOT / folder).rglob("*")]
    for path in [*paths, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        if path.is_file() and (path.suffix in kinds or path.name == "Makefile") and path != Path(__file__):
            assert word not in path.read_text("utf-8"), path


def test_links_between_documents_lead_somewhere():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_threat_names_the_tests_that_prove_what_stands_against_it():
    named = re.compile(r"`(test_\w+)`")
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = text.partition("| threat |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) > 20
    assert [row for row in rows if not named.findall(row.split(" | ")[-1])] == []
    there = set(re.findall(r"def (test_\w+)\(", "\n".join(path.read_text("utf-8") for path in TESTS)))
    assert set(named.findall(text)) - there == set(), "named in SECURITY.md, but no test"
