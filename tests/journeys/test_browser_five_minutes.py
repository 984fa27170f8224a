"""The first five minutes: `keyturn demo --by-hand` as it is typed, and then a newcomer with a browser and two tabs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from looking import Look
from newcomer import connect, register, setup
from world import ROWS, free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@dataclass
class Demo:
    """The command, what it printed, and where it said things are."""

    folder: Path
    ports: tuple[int, int]
    process: subprocess.Popen | None = None

    def start(self, *options: str) -> None:
        """As typed in a terminal, until it says where to start."""
        keyturn, theirs = map(str, self.ports)
        typed = ["demo", "--port", keyturn, "--end-system-port", theirs, *options]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUNBUFFERED": "1"}
        with self._printed.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "keyturn.main", *typed], cwd=self.folder, env=environment, stdout=out, stderr=out
            )
        deadline = time.monotonic() + 120
        while not re.search("Start here: |Sign in at ", self.log):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def end(self, how: int = signal.SIGINT) -> None:
        """Ctrl+C, or worse."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    @property
    def _printed(self) -> Path:
        return self.folder / "printed.txt"

    @property
    def log(self) -> str:
        return self._printed.read_text()

    @property
    def url(self) -> str:
        return re.search(r"Keyturn is at (\S+)", self.log)[1]

    @property
    def end_system(self) -> _Console:
        return _Console(re.search(r"Demo end system at (\S+)", self.log)[1])

    @property
    def first_page(self) -> str:
        return re.search(r"Start here: (\S+)", self.log)[1]


@dataclass
class _Console:
    url: str


@pytest.fixture
def demo(tmp_path) -> Iterator[Demo]:
    made = Demo(tmp_path, (free_port(), free_port()))
    yield made
    made.end()


def build(look: Look) -> None:
    page = look.page
    page.get_by_role("link", name="Add a table").click()
    page.get_by_role("button", name="Find endpoints").click()
    page.get_by_role("heading", name="6 endpoints of this API").wait_for()
    page.get_by_role("button", name="Look at orders").click()
    page.get_by_text("The API reports 1,234 rows.").wait_for()
    page.get_by_text("Page 2 differs").wait_for()
    page.get_by_role("button", name="Save table").click()
    page.get_by_role("heading", name="acme.orders").wait_for()
    look.at("five-1-table")


def import_all(look: Look, demo: Demo) -> Path:
    """Everything, with waits that the API asks for; then the file."""
    page = look.page
    for _ in range(4):
        on_purpose(look, demo, "Return 429")
    page.get_by_role("link", name="Import all").first.click()
    page.get_by_role("button", name="Start import").click()
    page.get_by_text("asked us to wait (429)").wait_for()
    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    assert page.get_by_text("1,234 of 1,234 rows").count() >= 1
    look.at("five-2-import")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="orders.parquet").click()
    return downloading.value.path()


def schedule(look: Look, table_url: str) -> None:
    page = look.page
    page.goto(table_url)
    page.get_by_role("link", name="Schedule", exact=True).click()
    page.get_by_label("Repeat").select_option("weekday")
    page.get_by_label("Timezone").select_option("Europe/Berlin")
    page.get_by_text("Every weekday at 06:00, Europe/Berlin").wait_for()
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_text("Saved. The first run is shown under Next.").wait_for()
    look.at("five-3-schedules")


def on_purpose(look: Look, demo: Demo, label: str) -> None:
    """On the end system's own page, in another tab."""
    page = look.context.new_page()
    page.goto(demo.end_system.url + "/break")
    page.get_by_role("button", name=f"Do it: {label}").click()
    page.get_by_role("heading", name="Break it on purpose").wait_for()
    page.close()


def program(look: Look, demo: Demo, table_url: str) -> str:
    """The lines for Python, copied from the page, with an API token made for them; what they print."""
    page = look.page
    page.goto(demo.url + "/api-tokens")
    page.get_by_label("Name", exact=True).fill("my notebook")
    page.get_by_role("button", name="Create API token").click()
    page.get_by_role("heading", name="my notebook is made. Copy it now.").wait_for()
    token = page.locator("#token").inner_text()
    page.goto(table_url)
    page.get_by_role("tab", name="Use it").click()
    lines = page.locator("#use-python").inner_text()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(demo.folder),
        "KEYTURN_URL": demo.url,
        "KEYTURN_TOKEN": token,
    }
    ran = subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_newcomer_reads_their_first_api_and_schedules_it(demo, look):
    look.context.set_default_timeout(60_000)
    demo.start("--by-hand")
    assert "Ctrl+C stops both" in demo.log
    setup(look, demo)
    values = register(look, demo)
    connect(look, values)
    build(look)
    page, table_url = look.page, look.page.url.partition("?")[0]
    import pyarrow.parquet as pq

    assert pq.read_table(import_all(look, demo)).num_rows == ROWS
    assert f"[{ROWS} rows x" in program(look, demo, table_url)
    schedule(look, table_url)
    page.goto(demo.url)
    page.get_by_text("Now your own API").wait_for()
    look.at("five-4-home")


def reconnect(look: Look) -> None:
    page = look.page
    page.get_by_role("link", name="Reconnect", exact=True).click()
    with look.context.expect_page() as opened:
        page.get_by_role("button", name="Reconnect", exact=True).click()
    opened.value.get_by_role("button", name="Allow").click()
    opened.value.get_by_text("You can close this window.").wait_for()
    opened.value.close()
    page.get_by_text("Healthy").first.wait_for()


def test_what_is_broken_on_purpose_heals_also_when_the_demo_is_killed_in_the_middle(demo, look):
    """The same demo, which did the first steps by itself."""
    look.context.set_default_timeout(60_000)
    demo.start()
    page = look.page
    page.goto(demo.url)
    account = re.search(r"Sign in at \S+ as (\S+) with the password (\S+)", demo.log)
    page.get_by_label("Email").fill(account[1])
    page.get_by_label("Password").fill(account[2])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("link", name="demo.orders").first.click()
    page.get_by_text("The API reports 1,234 rows.").first.wait_for()
    table_url = page.url
    schedule(look, table_url)

    # What is broken on purpose: nobody notices, or it is said, and one sign-in heals it.
    for label in ("Expire access token now", "Rotate refresh tokens", "Expire access token now"):
        on_purpose(look, demo, label)
        page.goto(table_url)
        page.get_by_text("The API reports 1,234 rows.").first.wait_for()
    on_purpose(look, demo, "Revoke access")
    page.goto(table_url)
    page.get_by_text("no longer accepts this sign-in").first.wait_for()
    # Killed in the middle of it, and started again: the key, the session and what is wrong survive.
    demo.end(signal.SIGKILL)
    demo.start("--by-hand")
    page.goto(demo.url + "/schedules")
    page.get_by_role("rowheader").get_by_role("link", name="demo.orders").wait_for()
    page.goto(table_url)
    reconnect(look)
    page.goto(table_url)
    page.get_by_text("The API reports 1,234 rows.").first.wait_for()

    demo.end()
    assert "Stopped." in demo.log
    demo.start("--by-hand", "--reset")
    assert urlsplit(demo.first_page).path == "/setup"
    setup(look, demo)


def test_a_busy_port_is_said_with_one_that_is_free(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        typed = [sys.executable, "-m", "keyturn.main", "demo", "--by-hand", "--port", str(port), "--data", "other"]
        ran = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert re.search(rf"Port {port} is busy. The next free one is \d+", said), said
    assert "Traceback" not in said
