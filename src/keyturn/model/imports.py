"""An import: one durable run that reads a whole table into a destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from keyturn.model.validation import CleanText, Settings, wrong

ImportStatus = Literal["queued", "running", "waiting", "complete", "incomplete", "failed", "cancelled"]
STATUS_LABELS: dict[str, str] = {
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting (rate limit)",
    "complete": "Complete",
    "incomplete": "Incomplete",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
FINISHED = frozenset({"complete", "incomplete", "failed", "cancelled"})


def _destination_url(value: str) -> str:
    if not value:
        raise wrong("Name the file, for example orders.parquet")
    if value.startswith(".part-") or "/.part-" in value:
        raise wrong("Names beginning with .part- are ours while a file is unfinished.")
    return value


class ParquetDestination(Settings):
    """One Parquet file. A relative `url` lies in the workspace's own folder."""

    type: Literal["parquet"] = Field(default="parquet", title="Where to")
    url: Annotated[CleanText, Field(max_length=1000), AfterValidator(_destination_url)] = Field(
        title="File", description="For example orders.parquet", json_schema_extra={"missing": "Name the file."}
    )


class ImportSettings(Settings):
    """What the import dialog holds."""

    table_id: str = Field(title="Table", json_schema_extra={"missing": "Choose a table."})
    destination: ParquetDestination = Field(
        title="Where to", json_schema_extra={"missing": "Say where to, for example a parquet file."}
    )
    mode: Literal["replace"] = Field(
        default="replace",
        title="If it exists",
        description="Replace swaps the old table only when the new one is whole.",
    )


@dataclass(frozen=True, slots=True)
class Import:
    """One run. `completeness` is the stamp once it finished; `error` is `{code, message, message_code}`.

    Times are epoch seconds; `waiting` is `{reason, until}` while the API asked us to wait.
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
    created_by: str
    created_by_name: str
    created_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def label(self) -> str:
        """The status in words; a total nobody reported is said, not hidden."""
        if self.status == "complete" and (self.completeness or {}).get("complete") is None:
            return "Complete, total unknown"
        return STATUS_LABELS[self.status]


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One finished file: `bytes` long, `sha256` in hex, relative `name` for downloads."""

    name: str
    bytes: int
    sha256: str
