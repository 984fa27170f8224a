"""Tables over HTTP (`ws.table("acme.orders")`): schema, preview, and reads that are loud when rows are missing."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from keyturn.client.connections import Connection, moment
from keyturn.client.names import pick
from keyturn.client.transport import Transport

if TYPE_CHECKING:
    import pyarrow as pa

    from keyturn.client.parts import Parts
    from keyturn.client.reads import Read

_ROUTE = "/tables"
_SHOWN_ROWS = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in Keyturn's words, the path it comes from, and what a reader should know of it."""

    name: str
    type: str
    nullable: bool
    source_path: str
    note: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Column:
        """From the JSON object of the API."""
        return cls(found["name"], found["type"], found["nullable"], found["source_path"], found.get("note"))


class Schema(tuple[Column, ...]):
    """The columns of a table, in order; `repr` is one line a column."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self:
            return "Schema()"
        wide = max(len(column.name) for column in self)
        lines = [f"  {c.name:{wide}}  {c.type}{'' if c.nullable else ' not null'}" for c in self]
        return "\n".join(["Schema(", *lines, ")"])


@dataclass(frozen=True, slots=True, repr=False)
class Sample:
    """The first rows of a table, and never more than that: `banner` says how much of the whole it is.

    `request` is what was sent (`method`, `url`, `headers`, `body`, and `curl`, the line that does the same), `response`
    what came (`status`, `headers`, `body`, and `cut` where the body is longer): secrets masked, without the sign-in.
    """

    columns: Schema
    rows: list[list[Any]]
    truncated: bool
    reported_total: int | None
    stop_reason: str | None
    read_at: datetime | None
    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def banner(self) -> str:
        """How much this is of the whole, in words."""
        count = len(self.rows)
        read = f", read {self.read_at.astimezone():%H:%M}" if self.read_at else ""
        sample = f"Sample: first {count:,} {'row' if count == 1 else 'rows'}, 1 page{read}."
        if self.reported_total is not None:
            return f"{sample} The API reports {self.reported_total:,} rows."
        return f"{sample} The API does not say how many there are."

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        counts = f"rows={len(self.rows)}, truncated={self.truncated}, reported_total={self.reported_total}"
        return f"Sample({counts})\n{self.banner}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th title='{html.escape(c.type)}'>{html.escape(c.name)}</th>" for c in self.columns)
        shown = self.rows[:_SHOWN_ROWS]
        body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in shown)
        more = len(self.rows) - len(shown)
        tail = f"<p>… and {more:,} more rows in this sample.</p>" if more else ""
        return (
            f"<p><strong>{html.escape(self.banner)}</strong></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{tail}"
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how many requests an import is and how many seconds it takes; None where that cannot be known.

    `limited_by` is `own_limit` or `api_limit` where a limit decides how long it takes; `str` is the sentence.
    """

    sentence: str
    requests: int | None
    seconds: float | None
    rows: int | None
    limited_by: str | None

    def __str__(self) -> str:
        return self.sentence


class Table:
    """One table. Reading it reads the end system: nothing is kept between two reads but the schema."""

    def __init__(self, transport: Transport, found: Mapping[str, Any]) -> None:
        self._http = transport
        self.id = str(found["id"])
        self.name = str(found["full_name"])
        # The names of what it asks for each time.
        self.asks_for = tuple(str(parameter["name"]) for parameter in found.get("parameters") or ())

    def __repr__(self) -> str:
        return f"Table({self.name!r})"

    @property
    def route(self) -> str:
        """Its address under `/api/v1`."""
        return f"{_ROUTE}/{self.id}"

    @property
    def settings(self) -> dict[str, Any]:
        """The JSON object of the API, as it is now."""
        return dict(self._http.get(self.route))

    @property
    def schema(self) -> Schema:
        """Its columns, learned from the endpoint if that was not done yet."""
        columns = self._http.get(f"{self.route}/schema")["columns"]
        if columns is None:
            return self.refresh_schema()
        return _schema(columns)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The same as an Arrow schema."""
        return self.learned_schema()

    def learned_schema(self, *, since: Any = None, **parameters: Any) -> pa.Schema:
        """The same; `since` and `parameters` are for asking the endpoint, if that was not done yet."""
        import pyarrow as pa

        query = {"format": "arrow", **asked_of(since, parameters)}
        with self._http.stream("GET", f"{self.route}/schema", params=query) as response:
            return pa.ipc.read_schema(pa.py_buffer(response.read()))

    def refresh_schema(self, *, since: Any = None, **parameters: Any) -> Schema:
        """Its columns, learned from the endpoint again; `since` and `parameters` are for asking it."""
        asked = asked_of(since, parameters)
        route = f"{self.route}/schema/refresh" + (f"?{urlencode(asked)}" if asked else "")
        return _schema(self._http.post(route)["columns"] or ())

    @property
    def schema_history(self) -> list[dict[str, Any]]:
        """The differences that reads met, newest first: `seen_at`, and `changes` column by column."""
        return list(self._http.pages(f"{self.route}/schema/history"))

    def preview(self, limit: int = 100, *, since: Any = None, **parameters: Any) -> Sample:
        """The first page, at most `limit` rows. `parameters` are what the table asks for each time."""
        return sample_of(self.preview_json(limit, since=since, **parameters))

    def preview_json(self, limit: int = 100, *, since: Any = None, **parameters: Any) -> dict[str, Any]:
        """The same as the JSON object of the API."""
        return dict(self._http.get(f"{self.route}/preview", limit=limit, **asked_of(since, parameters)))

    def estimate(self) -> Estimate:
        """About how much an import of it is, from what is known by now; the API is not asked."""
        found = self._http.get(f"{self.route}/estimate")
        return Estimate(found["sentence"], found["requests"], found["seconds"], found["rows"], found["limited_by"])

    def partitions(self, at_most: int = 8, *, since: Any = None, **parameters: Any) -> list[str]:
        """The ids of stretches that can be read side by side, each by `read(partition=…)` on whichever machine."""
        found = self._http.get(f"{self.route}/partitions", at_most=at_most, **asked_of(since, parameters))
        return [str(part["id"]) for part in found["data"]]

    def read(
        self,
        *,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        partition: str | None = None,
        since: Any = None,
        allow_incomplete: bool = False,
        **parameters: Any,
    ) -> Read:
        """A read of the whole table, or of `limit` rows, some `columns`, or one of its `partitions()`.

        It begins when rows are taken from it.

        `parameters` are what the table asks for each time, `since` (a time, a day, a number) reads only new rows.
        Raises `IncompleteData` then, if rows are missing or may be, unless `allow_incomplete`.
        """
        from keyturn.client.reads import Read

        return Read(
            self._http,
            self,
            limit=limit,
            columns=columns,
            partition=partition,
            asked=asked_of(since, parameters),
            allow_incomplete=allow_incomplete,
        )

    def read_parts(self, *, since: Any = None, allow_incomplete: bool = False, **parameters: Any) -> Parts:
        """The table and the child tables of its relational model, all of one fetch, by name.

        Raises `IncompleteData` if rows are missing or may be, unless `allow_incomplete`.
        """
        from keyturn.client.parts import read

        return read(self._http, self, asked_of(since, parameters), allow_incomplete=allow_incomplete)

    def save_parts(self, folder: Path, *, since: Any = None, **parameters: Any) -> list[str]:
        """Write the same as Parquet files into a folder; answers their names. What is incomplete is not written."""
        from keyturn.client.parts import save

        return save(self._http, self, asked_of(since, parameters), folder)

    def update(self, patch: Mapping[str, Any]) -> None:
        """Change settings by JSON merge patch: null clears one."""
        self._http.patch(self.route, patch)

    def copy(self, *, connection: str | Connection, name: str | None = None) -> Table:
        """Use its settings on another connection too, with the parents that are missing there. No rows, no marks.

        Raises `NotFound` for the connection, `Conflict` for a name that is taken there.
        """
        if isinstance(connection, str):
            target = str(pick(self._http.pages("/connections"), connection, what="connection")["id"])
        else:
            target = connection.id
        body = {"connection_id": target} | ({"name": name} if name is not None else {})
        return Table(self._http, self._http.post(f"{self.route}/copies", body))

    def delete(self) -> None:
        """Delete it; finished files stay."""
        self._http.delete(self.route)


class Tables:
    """The tables the caller may see, found by `connection.table`."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Tables({self._http.url})"

    def __iter__(self) -> Iterator[Table]:
        return (Table(self._http, found) for found in self.listed())

    def __getitem__(self, name: str) -> Table:
        """The one called `connection.table`. Raises `NotFound` with a suggestion."""
        return Table(self._http, pick(self.listed(), name, what="table", key="full_name"))

    def listed(self, connection_id: str | None = None) -> Iterator[dict[str, Any]]:
        """The JSON objects of the API."""
        return self._http.pages(_ROUTE, connection_id=connection_id)

    def create(self, settings: Mapping[str, Any], **parameters: Any) -> Table:
        """Save one; `parameters` are values for asking the endpoint once. Raises `Invalid` naming the fields."""
        return Table(self._http, self._http.post(_with(_ROUTE, parameters), settings))

    def drafts(self, connection_id: str, source: str | None = None) -> dict[str, Any]:
        """Drafts for `create` out of a cURL line, an OpenAPI 3 document or a Postman collection; nothing is saved.

        Without a `source`, out of the description that the API publishes of itself; `found_at` is its address.
        Raises `Invalid` when it publishes none.
        """
        asked = {"connection_id": connection_id} | ({"source": source} if source is not None else {})
        return dict(self._http.post(f"{_ROUTE}/drafts", asked))

    def detect(self, draft: Mapping[str, Any], **parameters: Any) -> dict[str, Any]:
        """The settings an endpoint asks for, with their evidence; nothing is saved."""
        return dict(self._http.post(_with(f"{_ROUTE}/detect", parameters), draft))


def asked_of(since: Any, parameters: Mapping[str, Any]) -> dict[str, str]:
    """What a read is asked for, as its query: days, times and numbers in the words of the API."""
    asked = {f"param.{name}": _said(value) for name, value in parameters.items()}
    return asked if since is None else {**asked, "since": _said(since)}


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _with(route: str, parameters: Mapping[str, Any]) -> str:
    return f"{route}?{urlencode(asked_of(None, parameters))}" if parameters else route


def sample_of(found: Mapping[str, Any]) -> Sample:
    """A sample from the JSON object of the API."""
    return Sample(
        columns=_schema(found["columns"] or ()),
        rows=found["rows"],
        truncated=found["truncated"],
        reported_total=found["reported_total"],
        stop_reason=found.get("stop_reason"),
        read_at=moment(found.get("read_at")),
        request=dict(found.get("request") or {}),
        response=dict(found.get("response") or {}),
    )


def _schema(columns: Any) -> Schema:
    return Schema(Column.of(column) for column in columns)


def _cell(value: Any) -> str:
    if value is None:
        return "<em>null</em>"
    text = str(value)
    return html.escape(text if len(text) <= 100 else text[:99] + "…")
