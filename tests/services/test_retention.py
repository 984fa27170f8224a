"""Files whose time is over: removed once, never the latest, never under somebody's hands, whatever dies in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict, Forbidden, Gone, Invalid
from keyturn.services import file_limits, imports, retention
from keyturn.services.import_sizes import ImportSize
from keyturn.services.retention import keep
from keyturn.storage import audit as audit_rows
from keyturn.storage import imports as rows
from keyturn.storage import kept_files as kept_rows

DAY = 86_400.0


@pytest.fixture
async def shelf(place):
    return await Shelf(place).ready()


class Shelf:
    """A table, and imports of it that have ended: each with its file on the disk."""

    def __init__(self, place) -> None:
        self.place, self.ctx = place, place.ana
        self.root = place.ana.deployment.files_dir("ws_1")

    async def ready(self):
        self.root.mkdir(parents=True)
        body = {"auth": {"type": "none"}, "name": "open", "base_url": "https://api.example"}
        self.table = await self.place.table(await self.place.connection(**body))
        return self

    def asked(self, import_id: str, url: str, **more):
        settings = {"table_id": "tb_1", "destination": {"type": "csv", "url": url}, "mode": more.pop("mode", "replace")}
        values = {"id": import_id, "table_id": "tb_1", "settings": settings, "place": str(self.root / url),
                  "created_by": "ac_ana", "created_at": self.ctx.clock()}  # fmt: skip
        self.place.run(rows.insert, "ws_1", values)
        told = {"status": "running", **more}
        self.place.run(lambda tx: tx.execute(rows.imports.update().where(rows.imports.c.id == import_id).values(told)))
        return self.place.run(rows.get, "ws_1", import_id)

    def ended(self, import_id: str, url: str, text: str = "12345"):
        item, path = self.asked(import_id, url), self.root / url
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        now = self.ctx.clock()
        files = [{"name": path.name, "bytes": len(text), "sha256": "0", "cells_changed": 0}]
        told = {"status": "complete", "files": files, "finished_at": now}

        def write(tx):
            rows.finish(tx, "ws_1", import_id, 0, told)
            keep(tx, self.ctx, item, told)

        self.place.run(write)
        self.place.clock[0] += DAY
        return path

    async def limits(self, **limits):
        await file_limits.update(self.ctx, limits)

    def entries(self) -> list[str]:
        found = sa.select(audit_rows.audit_entries.c.subject_id)
        found = found.where(audit_rows.audit_entries.c.verb == "import.file_removed")
        return sorted(self.place.run(lambda tx: list(tx.execute(found).scalars())))


async def test_old_files_are_removed_and_the_latest_is_not(shelf):
    paths = [shelf.ended(f"im_{n}", f"day/{n}.csv") for n in range(3)]
    assert await retention.sweep(shelf.ctx) == 0
    await shelf.limits(keep_days=1)
    assert await retention.sweep(shelf.ctx) == 2
    assert [path.exists() for path in paths] == [False, False, True]
    assert shelf.entries() == ["im_0", "im_1"]
    assert await retention.sweep(shelf.ctx) == 0
    assert (await imports.latest(shelf.ctx, "tb_1", ".csv"))[0] == paths[2]
    with pytest.raises(Gone, match=r"0\.csv was removed on 2027-01-18") as told:
        await imports.file_path(shelf.ctx, "im_0", "0.csv")
    assert told.value.message_code == "E-REMOVED"


async def test_two_replicas_remove_each_file_once_between_them(shelf):
    for n in range(6):
        shelf.ended(f"im_{n}", f"{n}.csv")
    await shelf.limits(keep_newest=1)
    counts = await asyncio.gather(*(retention.sweep(shelf.ctx) for _ in range(4)))
    assert (sum(counts), len(shelf.entries())) == (5, 5)


async def test_a_crash_after_it_is_said_leaves_a_clear_answer_and_the_next_sweep_removes(shelf):
    path = shelf.ended("im_0", "a.csv")
    shelf.ended("im_1", "b.csv")
    await shelf.limits(keep_newest=1)
    shelf.place.run(retention._mark, shelf.ctx, "ws_1", (await file_limits.get(shelf.ctx))[0])
    assert path.exists()
    with pytest.raises(Gone):
        await imports.file_path(shelf.ctx, "im_0", "a.csv")
    await shelf.limits(keep_newest=0)
    assert await retention.sweep(shelf.ctx) == 1
    assert not path.exists()


async def test_a_crash_before_the_row_goes_is_mended_by_the_next_sweep(shelf):
    path = shelf.ended("im_0", "a.csv")
    shelf.ended("im_1", "b.csv")
    await shelf.limits(keep_newest=1)
    shelf.place.run(retention._mark, shelf.ctx, "ws_1", (await file_limits.get(shelf.ctx))[0])
    path.unlink()
    assert await retention.sweep(shelf.ctx) == 1
    assert (await file_limits.get(shelf.ctx))[1].files == 1


async def test_a_file_that_an_import_is_about_to_replace_stays_until_that_has_ended(shelf):
    path = shelf.ended("im_0", "a.csv")
    shelf.ended("im_1", "b.csv")
    shelf.asked("im_2", "a.csv", files=[{"name": "a.csv", "bytes": 9, "sha256": "1"}])
    await shelf.limits(keep_newest=1)
    assert await retention.sweep(shelf.ctx) == 0
    assert path.exists()
    shelf.place.run(rows.request_cancel, "ws_1", "im_2", 1.0)
    assert await retention.sweep(shelf.ctx) == 1
    assert not path.exists()


async def test_what_somebody_else_put_at_a_path_is_not_ours_to_remove(shelf):
    path = shelf.ended("im_0", "a.csv")
    shelf.ended("im_1", "b.csv")
    path.write_text("something of the operator")
    await shelf.limits(keep_newest=1)
    await retention.sweep(shelf.ctx)
    assert path.read_text() == "something of the operator"
    assert (await file_limits.get(shelf.ctx))[1].files == 1


async def test_while_the_disk_is_away_the_row_waits_for_it(shelf):
    path = shelf.ended("im_0", "a.csv")
    shelf.ended("im_1", "b.csv")
    await shelf.limits(keep_newest=1)
    away = shelf.root.rename(shelf.root.with_name("away"))
    assert await retention.sweep(shelf.ctx) == 0
    away.rename(shelf.root)
    assert await retention.sweep(shelf.ctx) == 1
    assert not path.exists()


async def test_nothing_is_removed_through_a_link_that_leads_elsewhere(shelf, tmp_path):
    path = shelf.ended("im_0", "sub/a.csv")
    shelf.ended("im_1", "b.csv")
    path.parent.rename(tmp_path / "moved")
    (shelf.root / "sub").symlink_to(tmp_path / "moved")
    await shelf.limits(keep_newest=1)
    assert await retention.sweep(shelf.ctx) == 0
    assert (tmp_path / "moved" / "a.csv").exists()


async def test_files_of_export_folders_and_elsewhere_are_none_of_ours(shelf, tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "a.csv").write_text("12345")
    item = shelf.asked("im_x", str(exports / "a.csv"))
    files = [{"name": "a.csv", "bytes": 5, "sha256": "0"}]
    told = {"status": "complete", "files": files, "finished_at": 1.0}
    shelf.place.run(keep, shelf.ctx, item, told)
    assert shelf.place.run(kept_rows.all_of, "ws_1") == []
    assert await retention.fates(shelf.ctx, item, []) == {}


async def test_each_file_says_what_becomes_of_it(shelf):
    for n, name in enumerate(("a.csv", "a.csv", "b.csv")):
        shelf.ended(f"im_{n}", name)
    await shelf.limits(keep_days=10)

    async def fate(import_id):
        item = await imports.get(shelf.ctx, import_id)
        (found,) = (await retention.fates(shelf.ctx, item, await imports.files(shelf.ctx, import_id))).values()
        return found

    assert (await fate("im_0")).state == "replaced"
    with pytest.raises(Gone, match=r"newer a\.csv"):
        await imports.file_path(shelf.ctx, "im_0", "a.csv")
    middle = await fate("im_1")
    assert (middle.state, middle.kept_until) == ("kept", (await imports.get(shelf.ctx, "im_1")).finished_at + 10 * DAY)
    assert (await fate("im_2")).state == "latest"
    shelf.place.clock[0] += 20 * DAY
    await retention.sweep(shelf.ctx)
    assert (await fate("im_1")).state == "removed"


async def test_only_workspace_admins_see_and_change_the_limits(shelf):
    with pytest.raises(Forbidden):
        await file_limits.get(shelf.place.li)
    with pytest.raises(Forbidden):
        await file_limits.update(shelf.place.li, {"keep_days": 1})
    with pytest.raises(Invalid):
        await file_limits.update(shelf.ctx, {"keep_years": 1})


async def test_an_import_is_stopped_while_it_grows_past_its_limit(shelf):
    size = ImportSize(shelf.ctx, shelf.asked("im_0", "a.csv"))
    await shelf.limits(max_import_bytes="1 kB")
    await size.begin(0)
    await size.grow(1024)
    with pytest.raises(Conflict, match="take 1025 bytes, more than the 1 kB") as told:
        await size.grow(1)
    assert told.value.message_code == "E-IMPORTSIZE"


async def test_what_is_there_counts_but_not_the_file_whose_place_is_taken(shelf):
    shelf.ended("im_0", "a.csv", "x" * 600)
    shelf.ended("im_1", "b.csv", "x" * 300)
    await shelf.limits(max_total_bytes=1000)
    size = ImportSize(shelf.ctx, shelf.asked("im_2", "a.csv"))
    await size.begin(700)
    with pytest.raises(Conflict) as told:
        await size.grow(1)
    assert told.value.message_code == "E-STORAGE"
    appending = ImportSize(shelf.ctx, shelf.asked("im_3", "./c.csv", mode="append"))
    await appending.begin(100)
    with pytest.raises(Conflict):
        await appending.grow(1)


async def test_the_finished_file_is_measured_before_it_is_put_in_place(shelf):
    shelf.ended("im_0", "a.csv", "x" * 600)
    await shelf.limits(max_total_bytes=1000)
    size = ImportSize(shelf.ctx, shelf.asked("im_1", "b.csv"))
    shelf.place.run(size.take_place, [{"name": "b.csv", "bytes": 400}])
    with pytest.raises(Conflict) as told:
        shelf.place.run(size.take_place, [{"name": "b.csv", "bytes": 401}])
    assert told.value.message_code == "E-STORAGE"
    await shelf.limits(max_import_bytes=100)
    with pytest.raises(Conflict):
        shelf.place.run(size.take_place, [{"name": "b.csv", "bytes": 101}])


async def test_elsewhere_only_the_size_of_one_import_counts(shelf, tmp_path):
    shelf.ended("im_0", "a.csv", "x" * 600)
    await shelf.limits(max_total_bytes=500, max_import_bytes=1000)
    item = shelf.asked("im_1", str(tmp_path / "exports" / "b.csv"))
    size = ImportSize(replace(shelf.ctx), item)
    await size.begin(1000)
    with pytest.raises(Conflict):
        await size.grow(1)
