"""An import: one durable run that reads a whole table into a destination."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from keyturn.model.partitioning import PartitionBy
from keyturn.model.validation import CleanText, Settings, wrong

ImportStatus = Literal["queued", "running", "waiting", "complete", "incomplete", "failed", "cancelled"]
STATUS_LABELS: dict[str, str] = {
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting",
    "complete": "Complete",
    "incomplete": "Incomplete",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
# What an import waits for, in words.
WAITS: dict[str, str] = {
    "rate_limit": "rate limit",
    "own_cap": "own limit",
    "end_system": "end system",
    "reconnect": "reconnect needed",
    "destination": "destination",
}
# The format that a file's ending asks for, where only its name is typed.
ENDINGS: dict[str, str] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".duckdb": "duckdb",
}
# Stop reasons after which there is no next page: to resume is to begin anew.
NOTHING_LEFT = frozenset({"no_next", "has_more_false", "total_reached", "empty_page", "short_page", "max_rows"})
FINISHED = frozenset({"complete", "incomplete", "failed", "cancelled"})


def _destination_url(value: str) -> str:
    if any(part.startswith((".part-", ".versions-")) for part in value.split("/")):
        raise wrong("Names beginning with .part- or .versions- are ours.")
    return value


class Destination(Settings):
    """One file, a folder of them, or a table of a database.

    A relative `url` lies in the workspace's own folder, or in a bucket's.
    """

    type: Literal["parquet", "csv", "ndjson", "duckdb", "postgresql"] = Field(default="parquet", title="Where to")
    url: Annotated[CleanText, Field(max_length=1000), AfterValidator(_destination_url)] = Field(
        default="", title="File", description="For example orders.parquet"
    )
    destination_id: CleanText | None = Field(
        default=None,
        title="Destination",
        description="One that a Workspace Admin made; without, files lie on the server.",
    )
    table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] | None = Field(
        default=None, title="Table there", description="DuckDB and PostgreSQL. Left empty: the table's own name."
    )
    partition_by: PartitionBy = Field(
        default=(),
        title="Partition by",
        description="Parquet only: a folder with column=value folders in place of one file. Example: country, or "
        "created_at:month (day, month or year).",
    )
    neutralise_formulas: bool = Field(
        default=True,
        title="Disarm formulas",
        description="CSV only: text that a spreadsheet would run gets an apostrophe before it.",
    )

    @model_validator(mode="after")
    def _is_a_file_or_a_database(self) -> Destination:
        if self.is_file and not self.url:
            raise wrong("Name the file, for example orders.parquet", at="url")
        if not self.is_file and self.url:
            raise wrong("A table of a database is named by `table`. Remove it.", at="url")
        if not self.is_file and not self.destination_id:
            raise wrong("Choose the database.", at="destination_id")
        if self.partition_by and self.type != "parquet":
            raise wrong("Only Parquet is partitioned. Remove it, or choose Parquet.", at="partition_by")
        if self.partition_by and not self.url.strip("/"):
            raise wrong("Name the folder, for example orders", at="url")
        return self

    @property
    def is_file(self) -> bool:
        """Whether it is a file, here or in an object store."""
        return self.type != "postgresql"

    @property
    def place(self) -> str:
        """The file's or folder's address, without a slash at its end."""
        return self.url.rstrip("/") if self.partition_by else self.url

    @property
    def is_here(self) -> bool:
        """Whether it is a file of the server, which can be downloaded."""
        return self.is_file and self.destination_id is None

    @property
    def is_kept(self) -> bool:
        """Whether it is a file in the workspace's own folder, which the workspace's limits are for."""
        return self.is_here and not self.partition_by and not PurePosixPath(self.url).is_absolute()

    @property
    def path(self) -> str:
        """Where it lies, below the folder that `url` begins in."""
        return str(PurePosixPath(self.url))

    def path_of(self, name: str) -> str:
        """Where the file `name` of it lies, below the folder that `url` begins in."""
        return str(PurePosixPath(self.url).parent / name)

    @property
    def words(self) -> str:
        """The file's address, or the table that was named."""
        return self.url if self.is_file else self.table or "the table’s own name"


class TableImport(Settings):
    """What an import asks for, and each import of a schedule: a table, where to, and how."""

    table_id: str = Field(title="Table", json_schema_extra={"missing": "Choose a table."})
    destination: Destination = Field(
        title="Where to", json_schema_extra={"missing": "Say where to, for example a parquet file."}
    )
    mode: Literal["replace", "append", "update"] = Field(
        default="replace",
        title="If it exists",
        description="Replace swaps the old table only when the new one is whole; append adds the rows; update puts "
        "each row in the place of the one with its key.",
    )

    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, max_length=50, title="Values", description="For what the table asks each time."
    )

    @model_validator(mode="after")
    def _update_needs_tables(self) -> TableImport:
        if self.mode == "update" and self.destination.type in {"csv", "ndjson"}:
            raise wrong("Update works for Parquet, DuckDB and PostgreSQL. Choose Replace or Append.")
        if self.mode == "update" and self.destination.partition_by:
            raise wrong("Update works for one Parquet file, DuckDB and PostgreSQL. Choose Replace or Append.")
        return self


class ImportSettings(TableImport):
    """What the import dialog holds."""

    limit: int | None = Field(
        default=None, ge=1, le=10**12, title="Rows at most", description="Left empty: all there are."
    )

    @model_validator(mode="after")
    def _some_rows_replace(self) -> ImportSettings:
        if self.limit is not None and self.mode != "replace":
            # Which rows are new is told by what came before: some of them would leave holes for good.
            raise wrong("Some of the rows can only replace. Leave it empty, or choose Replace.", at="limit")
        return self


@dataclass(frozen=True, slots=True)
class Import:
    """One run. `completeness` is the stamp once it finished; `error` is `{code, message, message_code}`.

    Times are epoch seconds; `waiting` is `{kind, reason, until}` while something outside is waited for. `rows` and
    `pages` are those that are safe: an import that is interrupted goes on behind them; `bytes` is what they take,
    uncompressed.
    """

    id: str
    workspace_id: str
    settings: ImportSettings
    table_name: str
    status: ImportStatus
    rows: int
    pages: int
    reported_total: int | None
    completeness: dict[str, Any] | None
    error: dict[str, Any] | None
    waiting: dict[str, Any] | None
    cancel_requested: bool
    attempts: int
    has_checkpoint: bool
    schedule_id: str | None
    created_by: str
    created_by_name: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    bytes: int = 0
    files_removed_at: float | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it ended at the limit that was asked for, with more to be had."""
        return self.status == "complete" and bool((self.completeness or {}).get("truncated"))

    @property
    def may_resume(self) -> bool:
        """Whether it has ended short of its end, so that it can go on or be tried again."""
        return self.status in FINISHED - {"complete"}

    @property
    def resumes_at_page(self) -> int | None:
        """The page that is asked for next when it is resumed; None when it would begin anew."""
        ended = (self.completeness or {}).get("stop_reason") in NOTHING_LEFT
        return self.pages + 1 if self.may_resume and self.has_checkpoint and not ended else None

    @property
    def label(self) -> str:
        """The status in words; a total nobody reported is said, and what is waited for."""
        if self.status == "waiting":
            return f"Waiting ({WAITS.get((self.waiting or {}).get('kind', ''), 'rate limit')})"
        if self.is_limited:
            return "Limited"
        if self.status == "complete" and (self.completeness or {}).get("complete") is None:
            return "Complete, total unknown"
        return STATUS_LABELS[self.status]


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One finished file: `bytes` long, `sha256` in hex, relative `name` for downloads.

    `cells_changed`: how many text cells of a CSV were disarmed.
    """

    name: str
    bytes: int
    sha256: str
    cells_changed: int = 0
