"""Imports: asking for one, looking at it, stopping it and letting it go on. A queued row is the request."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keyturn.columns.types import parse_type
from keyturn.destinations.partitioned.files import check_folder, manifest_at
from keyturn.destinations.partitioned.manifest import MANIFEST_SUFFIX
from keyturn.errors import Conflict, Forbidden, Invalid, NotFound
from keyturn.model import partitioning
from keyturn.model.destinations import SavedDestination
from keyturn.model.ids import new_id
from keyturn.model.imports import FINISHED, Destination, Import, ImportFile, ImportSettings, TableImport
from keyturn.model.object_stores import check_key
from keyturn.model.tables import Table
from keyturn.model.validation import parse
from keyturn.services import audit, connections, destinations, reads, retention, tables
from keyturn.services.context import Context
from keyturn.services.endpoints import Asked
from keyturn.storage import imports as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_LATEST_LOOK = 50
_WATCH_SECONDS = 0.5
# Proxies cut what is silent for longer.
_QUIET_SECONDS = 15.0
PAGES_PREFIX = ".part-"


async def create(ctx: Context, raw: Mapping[str, Any]) -> Import:
    """Ask for an import; it is run by whoever claims the row. Raises `Invalid` for a file that may not be written."""
    ctx.require("imports:run")
    settings = parse(ImportSettings, raw)
    _, place = await check(ctx, settings)
    import_id = new_id("im")

    def write(tx: Tx) -> None:
        rows.insert(tx, ctx.workspace_id, row_of(ctx, import_id, settings, place))
        audit.record(tx, ctx, "import.created", import_id, table_id=settings.table_id)

    await ctx.database.run(write)
    return await get(ctx, import_id)


async def check(ctx: Context, settings: TableImport) -> tuple[Table, str]:
    """Whether an import can be asked for by the actor: its table, and its place. Raises `Invalid`, `NotFound`."""
    await reads.begin(ctx, settings.table_id, asked=Asked(settings.parameters))
    table = await tables.get(ctx, settings.table_id)
    if settings.mode == "update" and not table.settings.row_key:
        raise Invalid(f"Update needs a unique key. Give {table.full_name} one, or choose Append.", at="mode")
    only = table.settings.incremental
    if settings.mode == "append" and only is not None and only.look_back_seconds:
        raise Invalid(
            "Append would repeat the rows of the time that is looked back on. Choose Update, or look back 0.", at="mode"
        )
    _check_partitions(settings, table)
    return table, await place_of(ctx, settings, table)


def _check_partitions(settings: TableImport, table: Table) -> None:
    """With the columns that are known by now; those of the rows themselves are looked at again."""
    by = [partitioning.by_of(text) for text in settings.destination.partition_by]
    if not by or table.columns is None:
        return
    try:
        partitioning.check(by, {column.name: parse_type(column.type).word for column in table.columns})
    except ValueError as error:
        raise Invalid(str(error), at="destination.partition_by") from None


async def place_of(ctx: Context, settings: TableImport, table: Table) -> str:
    """Where it goes, as one word: one import at a time writes there. Raises `Invalid`."""
    if not settings.destination.is_here:
        return await _place_there(ctx, settings, table)
    target = destination_path(ctx, settings.destination)
    root = export_dir_of(ctx, target)
    if root is not None and not root.is_dir():
        # Its disk is away: the import waits for it, and nothing is made where it will be.
        return str(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"The folder of {settings.destination.url} is not writable by the server.",
                      at="destination.url") from error  # fmt: skip
    return str(target)


async def _place_there(ctx: Context, settings: TableImport, table: Table) -> str:
    try:
        found = await destinations.get(ctx, settings.destination.destination_id or "")
    except NotFound as error:
        raise Invalid(error.message, at="destination.destination_id") from None
    wanted, bucket = settings.destination, found.settings.is_bucket
    if wanted.is_file != bucket:
        fix = "Give the file's name as url, and its format as type" if bucket else "Use type postgresql and table"
        raise Invalid(f"{found.name} is {'a bucket' if bucket else 'a database'}. {fix}.", at="destination.type")
    if not wanted.is_file:
        return f"postgresql:{found.id}:{found.settings.db_schema}.{table_there(settings, table)}"
    try:
        check_key(wanted.place)
        check_key(key_of(found, settings))
    except ValueError as error:
        raise Invalid(str(error), at="destination.url") from None
    return f"{found.settings.type}:{found.id}:{key_of(found, settings)}"


def key_of(found: SavedDestination, settings: TableImport) -> str:
    """What an object is called in its bucket."""
    return found.settings.bucket.folder + settings.destination.place


def table_there(settings: TableImport, table: Table) -> str:
    """What the table is called in a database."""
    return settings.destination.table or table.name


def row_of(ctx: Context, import_id: str, settings: TableImport, place: str) -> dict[str, Any]:
    """A request to import, as the columns of its row."""
    return {
        "id": import_id,
        "table_id": settings.table_id,
        "settings": settings.model_dump(mode="json"),
        "place": place,
        "created_by": ctx.actor.account_id,
        "created_at": ctx.clock(),
    }


async def get(ctx: Context, import_id: str) -> Import:
    """One import. Raises `NotFound`, also when its table's connection is not the actor's to see."""
    found = await ctx.database.read(rows.get, ctx.workspace_id, import_id)
    if found is None:
        raise NotFound("There is no such import in this workspace.")
    await tables.get(ctx, found.settings.table_id)
    return found


async def ended(ctx: Context, import_id: str, within_seconds: float) -> Import:
    """One import as soon as it has ended, or as it is after so many seconds. Raises `NotFound`."""
    until = time.monotonic() + within_seconds
    with ctx.database.wakeups.watching(import_id) as woken:
        while True:
            found = await get(ctx, import_id)
            left = until - time.monotonic()
            if found.status in FINISHED or left <= 0:
                return found
            await woken(min(left, _WATCH_SECONDS))


async def watch(ctx: Context, import_id: str) -> AsyncGenerator[Import | None]:
    """The import now, and whenever something of it changes, until it has ended; None when it is quiet for a while.

    Raises `NotFound` before the first one.
    """
    before, quiet_at = None, time.monotonic()
    while True:
        found = await ended(ctx, import_id, _WATCH_SECONDS if before is not None else 0)
        if found != before:
            before, quiet_at = found, time.monotonic()
            yield found
        elif time.monotonic() - quiet_at >= _QUIET_SECONDS:
            quiet_at = time.monotonic()
            yield None
        if found.status in FINISHED:
            return


async def list_(ctx: Context, *, limit: int = 100, table_id: str | None = None) -> list[Import]:
    """The newest imports the actor may see."""
    visible = {table.id for table in await tables.list_(ctx)}
    found = await ctx.database.read(rows.all_of, ctx.workspace_id, limit, table_id)
    return [item for item in found if item.settings.table_id in visible]


async def cancel(ctx: Context, import_id: str) -> Import:
    """Stop it; the previous file stays as it was, and it can be resumed. Raises `Conflict` when it has ended."""
    ctx.require("imports:run")
    found = await get(ctx, import_id)
    if found.status in FINISHED:
        raise Conflict(f"This import has ended already ({found.label}).")

    def write(tx: Tx) -> None:
        rows.request_cancel(tx, ctx.workspace_id, import_id, ctx.clock())
        audit.record(tx, ctx, "import.cancelled", import_id)

    await ctx.database.run(write)
    return await get(ctx, import_id)


async def resume(ctx: Context, import_id: str) -> Import:
    """Let one that ended short of its end go on behind its last safe page. Raises `Conflict` for any other."""
    ctx.require("imports:run")
    found = await get(ctx, import_id)
    await reads.begin(ctx, found.settings.table_id, asked=Asked(found.settings.parameters))
    anew = found.resumes_at_page is None

    def write(tx: Tx) -> bool:
        if not rows.queue_again(tx, ctx.workspace_id, import_id, anew=anew):
            return False
        audit.record(tx, ctx, "import.resumed", import_id, page=found.resumes_at_page or 1)
        return True

    if not await ctx.database.run(write):
        raise Conflict(
            f"Only an import that failed, was cancelled or is incomplete can go on. This one: {found.label}."
        )
    return await get(ctx, import_id)


async def files(ctx: Context, import_id: str) -> list[ImportFile]:
    """The finished files of an import."""
    ctx.require("tables:read")
    if (await get(ctx, import_id)).status not in FINISHED:
        return []
    return await ctx.database.read(rows.files, ctx.workspace_id, import_id)


async def file_path(ctx: Context, import_id: str, name: str) -> Path:
    """Where a finished file lies, for downloads. Raises `NotFound` if it is gone or was never of this import."""
    found = await get(ctx, import_id)
    await require_rows(ctx, found)
    known = {item.name: item for item in await files(ctx, import_id)}
    if name not in known:
        raise NotFound(f"There is no file called {name} of this import any more.")
    if not found.settings.destination.is_here:
        raise NotFound(f"{name} lies in a bucket, not on this server. Fetch it from there.")
    folder = destination_path(ctx, found.settings.destination).parent
    await retention.require_kept(ctx, found, name)
    place: Path | None = folder / name
    if found.settings.destination.partition_by:
        place = manifest_at(folder / name.removesuffix(MANIFEST_SUFFIX), known[name].bytes)
    if place is None or not place.is_file():
        raise NotFound(f"There is no file called {name} of this import any more.")
    return place


async def require_rows(ctx: Context, item: Import) -> None:
    """Raise `Forbidden` unless the rows of an import are the actor's to have: read as an account they read as too."""
    table = await tables.get(ctx, item.settings.table_id)
    connections.require_data(ctx, await connections.get(ctx, table.settings.connection_id), item.created_by)


async def latest(ctx: Context, table_id: str, suffix: str) -> tuple[Path, ImportFile, float]:
    """The newest whole file of a table of that ending: (where it lies, what it is, when it was finished).

    Raises `NotFound` while no import of it has ended complete.
    """
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    refused: Forbidden | None = None
    for item in await ctx.database.read(rows.all_of, ctx.workspace_id, _LATEST_LOOK, table_id, "complete"):
        if item.finished_at is None or item.is_limited or not item.settings.destination.is_here:
            continue
        try:
            connections.require_data(ctx, connection, item.created_by)
        except Forbidden as error:
            refused = error
            continue
        for file in await ctx.database.read(rows.files, ctx.workspace_id, item.id):
            path = _beside(ctx, item, file.name) if file.name.endswith(suffix) else None
            # A newer import may have put another file there; then that one is found first.
            if path is not None and path.is_file() and path.stat().st_size == file.bytes:
                return path, file, item.finished_at
    if refused is not None:
        raise refused
    raise NotFound(
        f"No import of {table.full_name} to a {suffix} file of this server has ended complete yet. Import it once."
    )


def _beside(ctx: Context, item: Import, name: str) -> Path | None:
    try:
        return destination_path(ctx, item.settings.destination).parent / name
    except Invalid:
        return None  # Something else has come to be there.


def pages_folder(target: Path, import_id: str) -> Path:
    """Where an import keeps its pages while it is under way: beside its place, so that the end is one rename."""
    return target.parent / f"{PAGES_PREFIX}{import_id}"


def export_dir_of(ctx: Context, target: Path) -> Path | None:
    """The export folder that a file lies in; None in the workspace's own."""
    return next((root for root in ctx.deployment.export_dirs if target.is_relative_to(root)), None)


def destination_path(ctx: Context, where: Destination) -> Path:
    """Where a destination's address leads. Raises `Invalid` outside the workspace's folder and the export folders."""
    url = where.place
    wanted = Path(url)
    if ".." in wanted.parts or "\\" in url or wanted.name.startswith("."):
        raise Invalid("A file's address has no .., no \\ and no name beginning with a dot.", at="destination.url")
    if wanted.is_absolute():
        roots = ctx.deployment.export_dirs
        if not any(wanted.is_relative_to(root) for root in roots):
            raise Invalid(
                "An absolute address needs a folder the operator allows in KEYTURN_EXPORT_DIRS. Use a plain file name.",
                at="destination.url",
            )
        root = next(root for root in roots if wanted.is_relative_to(root))
    else:
        root = ctx.deployment.files_dir(ctx.workspace_id)
        wanted = root / wanted
    # A link could lead out of the folder, so the real place is what counts; a partitioned folder is a link of ours.
    real = wanted.parent.resolve() / wanted.name if where.partition_by else wanted.resolve()
    outside = not real.is_relative_to(root.resolve()) or real != root.resolve() / wanted.relative_to(root)
    # Also of a folder that was away at start, and came back as a link.
    data = ctx.deployment.data_dir
    inside_data = any(path.is_relative_to(folder) for path, folder in ((wanted, data), (real, data.resolve())))
    inside_data = inside_data and root != ctx.deployment.files_dir(ctx.workspace_id)
    if outside or inside_data or (wanted.is_dir() and not where.partition_by):
        raise Invalid("That address is not a file in the folder it may be written to.", at="destination.url")
    if where.partition_by:
        check_folder(wanted)
    return wanted
