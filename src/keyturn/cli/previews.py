"""`keyturn preview`: the first rows of a table, what was sent for them and what came."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from keyturn.cli.arguments import Json, Params, Since, pairs_of, workspace
from keyturn.cli.terminal import clean, terminal

_CELL = 40


def preview(
    name: Annotated[str, typer.Argument(help="connection.table, for example acme.orders.")],
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 20,
    param: Params = None,
    since: Since = None,
    request: Annotated[
        bool, typer.Option("--request", help="Also what was sent, secrets masked, and as a cURL line.")
    ] = False,
    response: Annotated[
        bool, typer.Option("--response", help="Also what came, secrets masked: status, headers, body.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV for machines.")] = False,
    json: Json = False,
) -> None:
    """The first rows of a table, and how much of the whole they are."""
    from keyturn.client.tables import sample_of

    out = terminal()
    with workspace() as found:
        raw = found.tables[name].preview_json(limit, since=since, **pairs_of(param or [], "--param"))
    sample = sample_of(raw)
    if json:
        left_out = {key for key, asked in (("request", request), ("response", response)) if not asked}
        out.json({key: value for key, value in raw.items() if key not in left_out})
        return
    heads = [column.name for column in sample.columns]
    of = "of how many the API does not say" if sample.reported_total is None else f"of {sample.reported_total:,} rows"
    out.say(f"Sample: {len(sample.rows):,} {of}")
    told = out.say if csv else out.line
    if request:
        _say_request(told, sample.request)
    if response:
        _say_response(told, sample.response)
    if csv:
        out.csv(heads, [[_cell(value) for value in row] for row in sample.rows])
    elif heads:
        out.table(heads, [[_short(_cell(value)) for value in row] for row in sample.rows])
    else:
        out.say("These rows have no fields." if sample.rows else "The API answered with 0 rows.")


def _say_request(told: Callable[[str], None], request: Mapping[str, Any]) -> None:
    _say_message(told, f"{request['method']} {request['url']}", request)
    _say_text(told, request["curl"])
    told("")


def _say_response(told: Callable[[str], None], response: Mapping[str, Any]) -> None:
    _say_message(told, str(response["status"]), response)
    if response["cut"]:
        told("… the rest is not shown")
        told("")


def _say_message(told: Callable[[str], None], first: str, message: Mapping[str, Any]) -> None:
    """As it is on the wire: the first line, the headers, a blank line, the body."""
    told(clean(first))
    for name, value in message["headers"].items():
        told(clean(f"{name}: {value}"))
    told("")
    if message["body"]:
        _say_text(told, message["body"])
        told("")


def _say_text(told: Callable[[str], None], text: str) -> None:
    for line in text.splitlines():
        told(clean(line))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
