"""Schedules through the command line and the file of a workspace; a run that was missed comes when the server is back."""

from __future__ import annotations

import json
import sqlite3
import time

from pages import Person


def scheduled(world, steps, terminal):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    steps.ok(server.api.post("/tables", json=body))
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    return server


def test_schedules_in_a_terminal_and_as_a_file(world, steps, terminal):
    server = scheduled(world, steps, terminal)
    add = ("schedules", "add", "acme.orders", "--to", "orders.parquet", "--tz", "Europe/Berlin")
    said = terminal.run(*add, "--every", "weekday", "--at", "06:00")
    assert "acme.orders: Every weekday at 06:00, Europe/Berlin" in said
    assert said.count("·") == 4, said
    assert "never runs" in terminal.run(*add, "--cron", "0 6 31 2 *", code=2)
    assert "Active" in terminal.run("schedules", "list")
    assert "Paused" in terminal.run("schedules", "pause", "acme.orders")
    text = terminal.run("config", "export")
    assert '[schedules."acme.orders"]' in text
    (terminal.home / "w.toml").write_text(text)
    assert "as the file says" in terminal.run("config", "plan", "w.toml")
    terminal.run("schedules", "delete", "acme.orders", "--yes")
    assert "+ schedules acme.orders" in terminal.run("config", "plan", "w.toml")
    terminal.run("config", "apply", "w.toml", "--yes")
    assert "Every weekday at 06:00" in terminal.run("schedules", "show", "acme.orders")
    found = json.loads(terminal.run("schedules", "list", "--json"))["data"]
    assert [(item["name"], item["status"]) for item in found] == [("acme.orders", "paused")]
    terminal.run("schedules", "resume", "acme.orders")
    preview = steps.ok(server.api.post("/schedules/preview", json={"every": "month", "on": "last", "at": "7:15"}))
    assert (preview["words"], len(preview["next_runs"])) == ("Every month on the last day at 07:15, UTC", 5)


def test_a_schedule_that_cannot_be_read_is_a_row_that_says_how_to_mend_it(world, steps, terminal):
    server = scheduled(world, steps, terminal)
    for name in ("well", "strange"):
        terminal.run("schedules", "add", "acme.orders", "--to", "orders.parquet", "--name", name)
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        (stored,) = database.execute("select settings from schedules where name = 'strange'").fetchone()
        strange = json.dumps(json.loads(stored) | {"timezone": "Mars/Olympus"})
        database.execute("update schedules set settings = ? where name = 'strange'", (strange,))
    listed = {item["name"]: item for item in steps.ok(server.api.get("/schedules"))["data"]}
    said = "timezone Mars/Olympus: Choose a timezone, for example Europe/Berlin."
    assert (listed["well"]["status"], listed["well"]["problems"]) == ("active", [])
    assert (listed["strange"]["status"], listed["strange"]["next_runs"]) == ("held", [])
    assert [problem["at"] for problem in listed["strange"]["problems"]] == ["timezone"]
    assert said in terminal.run("schedules", "list")
    assert said in terminal.run("schedules", "show", "strange")
    person = Person(server.url)
    assert said in person.open("/schedules").root.text
    page = person.open(f"/schedules/{listed['strange']['id']}")
    assert said in page.root.text
    assert page.root.one(id="timezone-error").text == "Choose a timezone, for example Europe/Berlin."
    person.press(page, "cron", {"timezone": "UTC"}, "Save schedule")
    person.http.close()
    assert steps.ok(server.api.get(f"/schedules/{listed['strange']['id']}"))["label"] == "Active"


def test_an_import_stays_on_the_server_when_asked_to(world, steps, terminal):
    server = scheduled(world, steps, terminal)
    said = terminal.run("import", "acme.orders", "--on-server", "kept.parquet")
    assert "1,234 of 1,234 rows" in said
    assert "→ kept.parquet on the server" in said
    assert [path.name for path in terminal.home.glob("*.parquet")] == []
    table = steps.ok(server.api.get("/tables"))["data"][0]
    assert server.api.get(f"/tables/{table['id']}/latest.parquet").content.startswith(b"PAR1")
    assert "--on-server" in terminal.run("import", "acme.orders", code=2)


def test_what_was_missed_while_the_server_was_away_runs_once_when_it_is_back(world, steps, terminal):
    server = scheduled(world, steps, terminal)
    terminal.run("schedules", "add", "acme.orders", "--to", "orders.parquet", "--every", "hour")
    server.kill()
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("update schedules set next_at = ?", (time.time() - 3 * 86_400,))
    again = world.serve()
    deadline = time.monotonic() + 30
    while not (found := steps.ok(again.api.get("/imports"))["data"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert steps.wait_for_import(again, found[0]["id"])["status"] == "complete"
    schedule = steps.ok(again.api.get("/schedules"))["data"][0]
    assert (schedule["last"]["outcome"], schedule["last"]["import_id"]) == ("started", found[0]["id"])
    assert len(steps.ok(again.api.get("/imports"))["data"]) == 1
