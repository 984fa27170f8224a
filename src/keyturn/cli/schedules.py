"""`keyturn schedules`: import a table again and again, each hour, day, week, month, or as a cron line says."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, PartitionBy, Yes, confirm, given, pairs_of, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Schedules: when tables are imported again.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The schedule's name or id.")]


@app.command()
def add(
    table: Annotated[str, typer.Argument(help="connection.table, for example acme.orders.")],
    to: Annotated[str, typer.Option(help="orders.parquet on the server, Database/table or Bucket/orders.parquet.")],
    *,
    every: Annotated[str, typer.Option(help="once, hour, day, weekday, week, month or cron.")] = "day",
    at: Annotated[str | None, typer.Option(help="Time of day: 06:00. Every hour: its minutes count.")] = None,
    on: Annotated[
        str | None, typer.Option(help="A weekday; a day of the month (1 to 31, last); once: a date, 2027-03-28.")
    ] = None,
    cron: Annotated[str | None, typer.Option(help="Five fields, with --every cron.")] = None,
    tz: Annotated[str, typer.Option(help="Timezone. A time that comes twice runs once.")] = "UTC",
    mode: Annotated[str, typer.Option(help="replace, append or update.")] = "replace",
    name: Annotated[str | None, typer.Option(help="Default: the table's.")] = None,
    if_missed: Annotated[str, typer.Option(help="run_once or skip.")] = "run_once",
    if_running: Annotated[str, typer.Option(help="run_once or skip.")] = "skip",
    partition_by: PartitionBy = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="name=value, where the table asks each time.")
    ] = None,
    json: Json = False,
) -> None:
    """Import a table again and again. It runs as you, and waits while its connection needs reconnecting."""
    out = terminal()
    fields = given(at=at, on=on, cron=cron, name=name)
    chosen: dict[str, Any] = {"every": "cron" if cron else every, "timezone": tz, "mode": mode}
    chosen |= {"if_missed": if_missed, "if_running": if_running, "parameters": pairs_of(param or [], "--param")}
    with workspace() as found:
        made = found.schedules.begin(found.table(table).id, to=to, partition_by=partition_by or [], **chosen, **fields)
    if json:
        out.json(made.found)
        return
    out.good(f"{made.name}: {made.found['words']}")
    _say_next(made.found)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The schedules of the tables you may see."""
    out = terminal()
    with workspace() as found:
        items = [item.found for item in found.schedules]
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    if not items:
        out.say("Nothing is scheduled: keyturn schedules add acme.orders --every day --at 06:00 --to orders.parquet")
        return
    rows = [
        (i["name"], i["table_name"], i["words"], i["label"], words.soon((i["next_runs"] or [None])[0]), _last(i))
        for i in items
    ]
    out.table(("NAME", "TABLE", "WHEN", "STATUS", "NEXT", "LAST"), rows)


@app.command()
def show(name: Name, *, json: Json = False) -> None:
    """One schedule, and its next five runs."""
    out = terminal()
    with workspace() as found:
        item = found.schedules[name].found
    if json:
        out.json(item)
        return
    if item["problems"]:
        told = {"Schedule": item["name"], "Table": item["table_name"], "Status": item["label"], "Why": item["words"]}
        out.pairs(told | {"Runs as": item["created_by"]["name"], "Last": _last(item)})
        return
    out.pairs(
        {
            "Schedule": item["name"],
            "Table": item["table_name"],
            "When": item["words"],
            "Status": item["label"],
            "Where to": f"{_place(item['destination'])} ({item['mode']})",
            "If missed": item["if_missed"].replace("_", " "),
            "If still running": item["if_running"].replace("_", " "),
            "Runs as": item["created_by"]["name"],
            "Last": _last(item),
        }
    )
    _say_next(item)


@app.command()
def pause(name: Name, *, json: Json = False) -> None:
    """Queue nothing until it is resumed."""
    _changed(name, json=json, paused=True)


@app.command()
def resume(name: Name, *, json: Json = False) -> None:
    """Go on from now; what was missed is not made up for."""
    _changed(name, json=json, paused=False)


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete it; imports it asked for stay."""
    out = terminal()
    with workspace() as found:
        schedule = found.schedules[name]
        confirm(f"{schedule.name} will not be imported by itself any more.", yes=yes)
        schedule.delete()
    if json:
        out.json({"deleted": schedule.id})
        return
    out.good(f"Deleted {schedule.name}")


def _place(destination: dict[str, Any]) -> str:
    if destination["type"] == "postgresql":
        return f"{destination['table'] or 'its own name'} in the database {destination['destination_id']}"
    by = f" by {', '.join(destination['partition_by'])}" if destination.get("partition_by") else ""
    there = f" in the bucket {destination['destination_id']}" if destination.get("destination_id") else ""
    return f"{destination['url']}{by}{there}"


def _changed(name: str, *, json: bool, paused: bool) -> None:
    out = terminal()
    with workspace() as found:
        schedule = found.schedules[name]
        schedule.pause() if paused else schedule.resume()
    if json:
        out.json(schedule.found)
        return
    out.good(f"{schedule.name}: {schedule.found['label']}")
    _say_next(schedule.found)


def _say_next(item: dict[str, Any]) -> None:
    if item["next_runs"]:
        terminal().line("Next: " + " · ".join(words.soon(at) for at in item["next_runs"]))


def _last(item: dict[str, Any]) -> str:
    last = item["last"]
    if last is None:
        return "–"
    told = words.when(last["at"])
    return told if last["outcome"] == "started" else f"Skipped {told}: {last['why']}"
