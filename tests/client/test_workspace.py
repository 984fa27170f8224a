import subprocess
import sys

import pytest

import keyturn

HEAVY = ("httpx2", "pyarrow", "fastapi", "starlette", "sqlalchemy", "aiohttp", "pydantic", "uvicorn", "typer", "rich")


def test_importing_keyturn_loads_neither_the_server_nor_arrow():
    code = f"import sys, keyturn; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_connecting_loads_no_server_package_and_no_arrow():
    code = (
        "import sys, keyturn; keyturn.connect('http://localhost:1', 'kt_' + 'a' * 40);"
        "bad = ('pyarrow', 'fastapi', 'starlette', 'sqlalchemy', 'aiohttp', 'pydantic', 'uvicorn');"
        "print([n for n in sys.modules if n in bad or n.startswith(('keyturn.server', 'keyturn.web', 'keyturn.storage',"
        " 'keyturn.services'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_everything_promised_is_there():
    assert keyturn.connect.__module__ == "keyturn.client.workspace"
    assert set(keyturn.__all__) <= set(dir(keyturn))
    for name in keyturn.__all__:
        assert getattr(keyturn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = keyturn.conect
    with pytest.raises(AttributeError):
        _ = keyturn.client.nothing


def test_connect_takes_the_environment(fake, token, monkeypatch):
    monkeypatch.setenv("KEYTURN_URL", fake.url)
    monkeypatch.setenv("KEYTURN_TOKEN", token)
    fake.on("GET", "/me", {"role": "editor"})
    with keyturn.connect() as ws:
        assert ws.me["role"] == "editor"
    assert repr(ws) == f"Workspace({fake.url!r})"
