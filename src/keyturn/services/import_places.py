"""Where an import goes: its place as one word for each, the destination that a run of it writes to, and tidying up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from keyturn.destinations import objects, postgresql
from keyturn.destinations.destination import Away, Destination
from keyturn.destinations.files import FileDestination
from keyturn.destinations.journal import remove_folder
from keyturn.destinations.objects import ObjectDestination
from keyturn.destinations.partitioned.files import PartitionedFiles
from keyturn.destinations.partitioned.objects import PartitionedObjects
from keyturn.destinations.postgresql import Place, PostgresDestination, TableWay
from keyturn.destinations.table_file import Way
from keyturn.errors import KeyturnError
from keyturn.model.destinations import SavedDestination
from keyturn.model.imports import FINISHED, Import, TableImport
from keyturn.model.tables import Table
from keyturn.services import destination_servers, destinations, imports, tables
from keyturn.services.context import Context
from keyturn.services.destination_threads import in_thread
from keyturn.services.import_sizes import PAGES_KEPT_SECONDS
from keyturn.storage import destinations as destination_rows
from keyturn.storage import imports as rows

log = structlog.get_logger(__name__)


async def open_(ctx: Context, item: Import, epoch: int) -> Destination:
    """The destination of one run, with the table's key and name as they are now. Uses no network yet."""
    settings = item.settings
    table = await tables.get(ctx, settings.table_id)
    if settings.destination.is_here:
        return _file(ctx, item, table, epoch)
    found = await destinations.get(ctx, settings.destination.destination_id or "")
    if settings.destination.is_file:
        return await _object(ctx, item, table, found, epoch)
    place = Place(found.settings.db_schema or "public", imports.table_there(settings, table))
    way = TableWay(settings.mode, tuple(map(postgresql.fitting, table.settings.row_key)))
    server = await destination_servers.server_of(ctx, found)
    return PostgresDestination(server, place, way, import_id=item.id, epoch=epoch)


def untouched(settings: TableImport) -> str:
    """That nothing is lost, in words."""
    return "The previous file is untouched." if settings.destination.is_file else "The table there is untouched."


async def tidy(scene: Context) -> int:
    """Remove the pages of imports that are whole, gone, or ended a week ago; answers of how many."""
    found = await asyncio.to_thread(_folders, [scene.deployment.data_dir / "files", *scene.deployment.export_dirs])
    gone = await _old(scene, list(found))
    everywhere = await scene.database.read(destination_rows.all_anywhere)
    for import_id in gone:
        await _call_off(scene, found[import_id], everywhere)
        await asyncio.to_thread(remove_folder, found[import_id])
    count = len(gone)
    for destination in everywhere:
        if destination.settings.is_bucket:
            continue
        try:
            server = await destination_servers.server_of(scene, destination)
            schema = destination.settings.db_schema or "public"
            kept = await in_thread(postgresql.imports_at, server, schema)
            if old := await _old(scene, kept):
                count += await in_thread(postgresql.forget_imports, server, schema, old)
        except (Away, KeyturnError) as error:
            log.info("destination_not_tidied", destination_id=destination.id, reason=str(error))
    return count


async def _call_off(scene: Context, folder: Path, everywhere: list[SavedDestination]) -> None:
    """End what an import had begun to upload. A bucket that is away, or whose destination is gone, keeps the parts."""
    for destination_id in await asyncio.to_thread(objects.destinations_in, folder):
        for destination in everywhere:
            if destination.id == destination_id and destination.settings.is_bucket:
                try:
                    bucket = await destination_servers.bucket_of(scene, destination)
                    await in_thread(objects.abandon, bucket, folder, destination_id)
                except (Away, KeyturnError) as error:
                    log.info("upload_not_called_off", destination_id=destination_id, reason=str(error))


async def _old(scene: Context, import_ids: list[str]) -> list[str]:
    states = await scene.database.read(rows.states_anywhere, import_ids)
    old = scene.clock() - PAGES_KEPT_SECONDS

    def is_over(import_id: str) -> bool:
        status, finished_at = states.get(import_id, ("complete", None))
        return status == "complete" or (status in FINISHED and (finished_at or 0.0) < old)

    return [import_id for import_id in import_ids if is_over(import_id)]


def _file(ctx: Context, item: Import, table: Table, epoch: int) -> FileDestination | PartitionedFiles:
    settings = item.settings
    target = imports.destination_path(ctx, settings.destination)
    root = imports.export_dir_of(ctx, target)
    folder, way = imports.pages_folder(target, item.id), _way(settings, table)
    if way.partition_by:
        return PartitionedFiles(target, way, folder, run=f"{item.id}-e{epoch}", root=root)
    return FileDestination(target, way, folder, run=f"e{epoch}", root=root)


async def _object(
    ctx: Context, item: Import, table: Table, found: SavedDestination, epoch: int
) -> ObjectDestination | PartitionedObjects:
    bucket = await destination_servers.bucket_of(ctx, found)
    key = imports.key_of(found, item.settings)
    folder = ctx.deployment.files_dir(ctx.workspace_id) / f"{imports.PAGES_PREFIX}{item.id}"
    run = f"{item.id}-e{epoch}"
    way = _way(item.settings, table)
    made = PartitionedObjects if way.partition_by else ObjectDestination
    return made(bucket, key, way, folder, run=run, destination_id=found.id)


def _way(settings: TableImport, table: Table) -> Way:
    return Way(
        format=settings.destination.type,  # type: ignore[arg-type]  # pyrefly: ignore
        mode=settings.mode,
        key=table.settings.row_key,
        table=settings.destination.table or table.name,
        neutralise_formulas=settings.destination.neutralise_formulas,
        partition_by=settings.destination.partition_by,
    )


def _folders(roots: list[Path]) -> dict[str, Path]:
    found = (path for root in roots if root.is_dir() for path in root.rglob(f"{imports.PAGES_PREFIX}*"))
    return {path.name.removeprefix(imports.PAGES_PREFIX): path for path in found if path.is_dir()}
