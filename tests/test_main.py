import subprocess
import sys

import pytest

from keyturn.main import OPERATOR_VERBS


def keyturn(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keyturn.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "200"} | environment, check=False)


def test_help_shows_the_verbs_of_users_and_of_operators():
    ran = keyturn("--help")
    assert ran.returncode == 0
    for verb in (
        *OPERATOR_VERBS,
        "login",
        "clients",
        "connections",
        "tables",
        "preview",
        "import",
        "imports",
        "tokens",
    ):
        assert f" {verb} " in ran.stdout


@pytest.mark.parametrize("verb", sorted(OPERATOR_VERBS))
def test_an_operator_verb_has_its_own_help(verb):
    ran = keyturn(verb, "--help")
    assert ran.returncode == 0
    assert f"keyturn {verb}" in ran.stdout


def test_operator_verbs_are_those_the_server_knows():
    from keyturn.server.commands import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(OPERATOR_VERBS) == known


def test_an_operator_verb_reads_the_environment(tmp_path):
    ran = keyturn("migrate", KEYTURN_BIND="nonsense", KEYTURN_DATA_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert "KEYTURN_BIND" in ran.stderr


def test_help_loads_no_server_package():
    code = (
        "import sys; sys.argv = ['keyturn', '--help']; from keyturn.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([n for n in ('fastapi', 'sqlalchemy', 'aiohttp', 'pyarrow', 'httpx2') if n in sys.modules],"
        " file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


def test_without_a_verb_the_help_is_shown():
    assert "Usage" in keyturn().stdout + keyturn().stderr


@pytest.mark.parametrize("said", [None, "mimalloc"])
def test_an_operator_verb_has_few_heaps_unless_the_environment_says_otherwise(said):
    asks = "import sys; sys.argv[1:] = ['keys', '--help']; import keyturn.main as m, atexit; atexit.register(lambda: "
    asks += "print(sys.modules['pyarrow'].default_memory_pool().backend_name, file=sys.stderr)); m.main()"
    said_so = {} if said is None else {"ARROW_DEFAULT_MEMORY_POOL": said}
    ran = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, env=said_so, check=True)
    assert ran.stderr.split() == [said or "system"]
