"""Where an import goes: its place as one word for each, the destination that a run of it writes to, and tidying up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from keyturn.destinations import postgresql
from keyturn.destinations.destination import Away, Destination
from keyturn.destinations.files import FileDestination
from keyturn.destinations.journal import remove_folder
from keyturn.destinations.postgresql import Place, PostgresDestination, TableWay
from keyturn.destinations.table_file import Way
from keyturn.errors import KeyturnError
from keyturn.model.imports import FINISHED, Import, ImportSettings
from keyturn.model.tables import Table
from keyturn.services import destinations, imports, tables
from keyturn.services.context import Context
from keyturn.storage import destinations as destination_rows
from keyturn.storage import imports as rows

log = structlog.get_logger(__name__)
_KEPT_SECONDS = 7 * 86_400.0


async def open_(ctx: Context, item: Import, epoch: int) -> Destination:
    """The destination of one run, with the table's key and name as they are now. Uses no network yet."""
    settings = item.settings
    table = await tables.get(ctx, settings.table_id)
    if settings.destination.is_file:
        return _file(ctx, item, table, epoch)
    found = await destinations.get(ctx, settings.destination.destination_id or "")
    place = Place(found.settings.db_schema, imports.table_there(settings, table))
    way = TableWay(settings.mode, tuple(map(postgresql.fitting, table.settings.row_key)))
    server = await destinations.server_of(ctx, found)
    return PostgresDestination(server, place, way, import_id=item.id, epoch=epoch)


def untouched(settings: ImportSettings) -> str:
    """That nothing is lost, in words."""
    return "The previous file is untouched." if settings.destination.is_file else "The table there is untouched."


async def tidy(scene: Context) -> int:
    """Remove the pages of imports that are whole, gone, or ended a week ago; answers of how many."""
    found = await asyncio.to_thread(_folders, [scene.deployment.data_dir / "files", *scene.deployment.export_dirs])
    gone = await _old(scene, list(found))
    for import_id in gone:
        await asyncio.to_thread(remove_folder, found[import_id])
    count = len(gone)
    for destination in await scene.database.read(destination_rows.all_anywhere):
        try:
            server = await destinations.server_of(scene, destination)
            schema = destination.settings.db_schema
            kept = await asyncio.to_thread(postgresql.imports_at, server, schema)
            if old := await _old(scene, kept):
                count += await asyncio.to_thread(postgresql.forget_imports, server, schema, old)
        except (Away, KeyturnError) as error:
            log.info("destination_not_tidied", destination_id=destination.id, reason=str(error))
    return count


async def _old(scene: Context, import_ids: list[str]) -> list[str]:
    states = await scene.database.read(rows.states_anywhere, import_ids)
    old = scene.clock() - _KEPT_SECONDS

    def is_over(import_id: str) -> bool:
        status, finished_at = states.get(import_id, ("complete", None))
        return status == "complete" or (status in FINISHED and (finished_at or 0.0) < old)

    return [import_id for import_id in import_ids if is_over(import_id)]


def _file(ctx: Context, item: Import, table: Table, epoch: int) -> FileDestination:
    settings = item.settings
    target = imports.destination_path(ctx, settings.destination.url)
    way = Way(
        format=settings.destination.type,  # type: ignore[arg-type]  # pyrefly: ignore
        mode=settings.mode,
        key=table.settings.row_key,
        table=settings.destination.table or table.name,
        neutralise_formulas=settings.destination.neutralise_formulas,
    )
    ours = not Path(settings.destination.url).is_absolute()
    return FileDestination(target, way, imports.pages_folder(target, item.id), run=f"e{epoch}", ours=ours)


def _folders(roots: list[Path]) -> dict[str, Path]:
    found = (path for root in roots if root.is_dir() for path in root.rglob(f"{imports.PAGES_PREFIX}*"))
    return {path.name.removeprefix(imports.PAGES_PREFIX): path for path in found if path.is_dir()}
