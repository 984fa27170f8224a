import json
import socket
import subprocess
import sys

import pytest

from keyturn.cli import app as command_line


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_server_that_is_not_there_exits_6_with_a_sentence(keyturn, nobody):
    ran = keyturn("connections", "list", KEYTURN_URL=nobody)
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith(f"✗ Keyturn at {nobody} cannot be reached")


def test_with_json_an_error_is_json_on_stderr(keyturn, nobody):
    ran = keyturn("tables", "list", "--json", KEYTURN_URL=nobody)
    error = json.loads(ran.err)["error"]
    assert (ran.out, error["code"], error["exit_code"]) == ("", "unavailable", 6)


@pytest.mark.parametrize("arguments", [["nonsense"], ["clients", "nonsense"], ["preview"], ["preview", "a.b", "--no"]])
def test_what_is_no_command_line_exits_2(keyturn, arguments):
    assert keyturn(*arguments).code == 2


@pytest.mark.parametrize("noun", ["clients", "connections", "tables", "imports", "tokens"])
def test_every_noun_and_verb_has_help(keyturn, noun):
    ran = keyturn(noun, "--help")
    assert ran.code == 0
    group = next(item for item in command_line.app.registered_groups if item.name == noun)
    for command in group.typer_instance.registered_commands:
        verb = command.name or command.callback.__name__
        assert verb in ran.out
        assert keyturn(noun, verb, "--help").code == 0
        assert "--json" in keyturn(noun, verb, "--help").out


def test_the_version_is_said(keyturn):
    import keyturn as package

    assert keyturn("--version").out == f"keyturn {package.__version__}\n"


def test_an_error_of_our_own_making_is_one_line_without_its_secrets(keyturn, monkeypatch, secrets_seen):
    secret = "kt_" + "z" * 40
    secrets_seen.append(secret)

    def explode() -> None:
        raise RuntimeError(f"token {secret}")

    monkeypatch.setattr("keyturn.cli.tables.workspace", explode)
    ran = keyturn("tables", "list")
    assert ran.code == 1
    assert ran.err.startswith("✗ Something of ours failed (RuntimeError: ")
    with pytest.raises(RuntimeError):
        keyturn("tables", "list", KEYTURN_LOG_LEVEL="debug")


def test_a_reader_that_has_enough_is_no_error(process, acme):
    running = process("preview", "acme.orders", "--limit", "100", "--json")
    running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(30) == 0


def test_the_command_line_loads_no_server_package(environment):
    code = (
        "import sys; from keyturn.cli.app import run; run(['connections', 'list']);"
        "bad = ('fastapi', 'starlette', 'sqlalchemy', 'aiohttp', 'pyarrow', 'uvicorn', 'alembic');"
        "print([name for name in bad if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[-1] == "[]"
