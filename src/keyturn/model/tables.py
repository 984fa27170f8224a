"""A table: a saved endpoint, where its rows are, how its pages follow, and its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from keyturn.model.connections import HeaderMap, Name, QueryMap, check_name
from keyturn.model.estimates import LastRead, LastSample
from keyturn.model.parameters import Parameters
from keyturn.model.validation import CleanText, Settings, wrong
from keyturn.rest.fillings import is_known
from keyturn.rest.paginators import AutoPagination, Pagination


def _path(value: str) -> str:
    if not value.startswith("/"):
        value = "/" + value
    if "?" in value or "#" in value:
        raise wrong("A path has no ? or #. Put parameters under Parameters.")
    if "//" in value or "\\" in value or any(part in {".", ".."} for part in value.split("/")):
        raise wrong("A path stays under the Base URL: no //, \\, . or .. in it.")
    return value


def _rows_path(value: str | None) -> str | None:
    if value is not None and value != "" and not value.startswith("$"):
        value = "$." + value
    return value or None


class ColumnSettings(Settings):
    """A column whose type is pinned."""

    name: Annotated[CleanText, Field(min_length=1, max_length=300)]
    type: Annotated[CleanText, Field(max_length=2000)]


class IncrementalSettings(Settings):
    """Only new rows: those whose `column` is at or after where the last whole run ended."""

    column: Annotated[CleanText, Field(min_length=1, max_length=300)]
    param: Annotated[CleanText, Field(min_length=1, max_length=200)] | None = None
    look_back_seconds: Annotated[int, Field(ge=0, le=10 * 366 * 86_400)] = 86_400
    start: Annotated[CleanText, Field(max_length=100)] | None = None
    send_as: Literal["as_is", "date", "epoch", "epoch_ms"] = "as_is"


def _placeholder(value: str) -> str:
    if is_known(check_name(value)) or value in {"today", "now"}:
        raise wrong(f"{value} means something already. Choose another name.")
    return value


Placeholder = Annotated[CleanText, AfterValidator(_placeholder)]
ParentColumn = Annotated[CleanText, Field(min_length=1, max_length=300)]


class ParentSettings(Settings):
    """The table for whose rows this one is read. `values`: which of its columns fills which placeholder."""

    table: Annotated[CleanText, Field(min_length=1, max_length=150)] = Field(
        title="Parent table", description="Read once for each row of this table of the same connection."
    )
    values: Annotated[dict[Placeholder, ParentColumn], Field(min_length=1, max_length=20)] = Field(
        title="Values from the parent",
        description="Which column of the parent fills which placeholder, for example order_id=id for {order_id}.",
    )

    @property
    def key_columns(self) -> tuple[str, ...]:
        """What the values are called in the rows, in the order of `values`: `<parent>_<column>`."""
        names: dict[str, str] = {}
        for column in self.values.values():
            plain = name = f"{self.table}_{re.sub(r'[^A-Za-z0-9_]', '_', column)}"
            number = 2
            while names.get(name, column) != column:
                name, number = f"{plain}_{number}", number + 1
            names[name] = column
        by_column = {column: name for name, column in names.items()}
        return tuple(by_column[column] for column in self.values.values())


class TableSettings(Settings):
    """What the builder's left pane holds."""

    connection_id: str = Field(title="Connection", json_schema_extra={"missing": "Choose a connection."})
    name: Name = Field(
        title="Table name",
        description="Letters, digits and _.",
        json_schema_extra={"missing": "Use letters, digits and _, starting with a letter."},
    )
    method: Literal["GET", "POST"] = Field(default="GET", title="Method")
    path: Annotated[CleanText, Field(max_length=2000), AfterValidator(_path)] = Field(
        title="Path",
        description="After the Base URL. Use {id} for a value.",
        json_schema_extra={"missing": "Enter the path."},
    )
    query: QueryMap = Field(
        default_factory=dict,
        title="Parameters",
        description="Fixed text, {{last_run}}, {{today-7d}}, or {{name}} of what is asked for.",
    )
    headers: HeaderMap = Field(
        default_factory=dict, title="Headers", description="A secret goes in by its name: {{secret:NAME}}."
    )
    body: Any = Field(default=None, title="Body", description="JSON, for POST only.")
    format: Literal["json", "ndjson", "csv", "xml"] = Field(
        default="json", title="Format", description="JSON, NDJSON, CSV, XML."
    )
    rows_path: Annotated[CleanText, Field(max_length=500), AfterValidator(_rows_path)] | None = Field(
        default=None, title="Where the rows are", description="The list that repeats."
    )
    pagination: Pagination = Field(default_factory=AutoPagination, title="Pages")
    primary_key: tuple[Annotated[CleanText, Field(min_length=1, max_length=300)], ...] = Field(
        default=(),
        max_length=20,
        title="Unique key",
        description="Lets us update rows instead of repeating them.",
    )
    parameters: Parameters = Field(
        default=(),
        title="Ask for",
        description="Values that are given anew each time: write {{name}} where they go, or {name} in the path.",
    )
    parent: ParentSettings | None = Field(
        default=None,
        title="Parent",
        description="Reads the table once for each row of another one of the same connection, whose columns fill "
        "placeholders.",
    )
    incremental: IncrementalSettings | None = Field(
        default=None,
        title="Only new rows",
        description="By a column, looking back 1 day so late changes are not missed.",
    )
    columns: tuple[ColumnSettings, ...] = Field(default=(), max_length=2000, title="Columns")
    columns_param: Annotated[CleanText, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        title="Columns parameter",
        description="If the API returns only the fields it is asked for: that parameter, for example fields.",
    )
    data_model: Literal["flattened", "document", "relational"] = Field(
        default="flattened",
        title="Data model",
        description="Flattened: objects become dotted columns. Document: what is nested stays JSON. Relational: each "
        "list of objects is a child table.",
    )
    arrays: Literal["list", "json", "columns"] = Field(
        default="list", title="Lists", description="As lists, as JSON text, or their first items as columns."
    )
    array_items: int = Field(default=3, ge=1, le=100, title="First items")
    expand: Annotated[CleanText, Field(min_length=1, max_length=500)] | None = Field(
        default=None, title="Expand rows", description="A list in the row, for example items: one row for each item."
    )
    infer_types: bool = Field(default=True, title="Infer types", description="Off: every column is text.")
    total_path: Annotated[CleanText, Field(max_length=500)] | None = Field(
        default=None, title="Total", description="Where the API reports how many rows there are."
    )
    when_columns_change: Literal["add", "ask", "ignore"] = Field(
        default="add",
        title="When columns change",
        description="Add: new columns appear and types widen. Ask and Ignore: the columns stay, and what does not fit "
        "is listed apart.",
    )
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, title="At most per second", description="We also obey Retry-After."
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = Field(default=60.0, title="Timeout")
    no_new_data_days: Annotated[int, Field(ge=1, le=365)] | None = Field(
        default=None,
        title="Tell me after days without new data",
        description="A notice when its imports bring nothing new for so many days. Empty: never.",
    )

    @property
    def is_draft(self) -> bool:
        """Whether the endpoint has yet to say where its rows are, or how pages follow; then it cannot be read."""
        return self.pagination.type == "auto" or self.rows_path is None

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that name a row as it is given out: with expanded rows, only a key that names the item too."""
        if self.expand is None:
            return self.primary_key
        inside = self.expand.removeprefix("$.")
        named = any(name == inside or name.startswith(f"{inside}.") for name in self.primary_key)
        return self.primary_key if named else ()


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as it was seen: `note` says what a reader should know, for example why it is text."""

    name: str
    type: str
    source_path: str
    nullable: bool = True
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A saved table. `columns` is its learned schema, None before the first read. Times are epoch seconds."""

    id: str
    workspace_id: str
    connection_name: str
    settings: TableSettings
    columns: tuple[TableColumn, ...] | None
    evidence: tuple[dict[str, str], ...]
    created_at: float
    updated_at: float
    last_read_at: float | None = None
    last_sample: LastSample | None = None
    last_read: LastRead | None = None

    @property
    def name(self) -> str:
        """Its name in its connection."""
        return self.settings.name

    @property
    def full_name(self) -> str:
        """`connection.table`."""
        return f"{self.connection_name}.{self.settings.name}"


def changes_in_words(before: tuple[TableColumn, ...] | None, after: tuple[TableColumn, ...]) -> str:
    """What became of the columns, in one line; empty while there were none, or when names and types stayed."""
    if before is None:
        return ""
    old, new = {c.name: c.type for c in before}, {c.name: c.type for c in after}
    parts = [
        ("New: ", [name for name in new if name not in old]),
        ("Gone: ", [name for name in old if name not in new]),
        ("Another type: ", [f"{n} ({old[n]}, now {new[n]})" for n in new if n in old and old[n] != new[n]]),
    ]
    told = [label + ", ".join(names[:10]) + (" and more" if len(names) > 10 else "") for label, names in parts if names]
    return ". ".join(told) + "." if told else ""
