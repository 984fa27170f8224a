"""Sentences about files name them below the folder that imports write into, never with the server's own path."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from keyturn.destinations.parquet import ParquetWriter
from keyturn.services.export_dirs import without_folders


@pytest.fixture
def ctx(place, tmp_path):
    exports = tmp_path / "mount" / "exports"
    exports.mkdir(parents=True)
    return replace(place.ana, deployment=replace(place.ana.deployment, export_dirs=(exports,)))


@pytest.mark.parametrize("own", [True, False])
async def test_an_unfinished_file_is_named_without_its_folder(ctx, own, tmp_path):
    root = ctx.deployment.files_dir("ws_1") if own else ctx.deployment.export_dirs[0]
    with pytest.raises(OSError, match="e1-along") as told:
        ParquetWriter(root / "day" / ".part-im_1" / "e1-along.parquet", pa.schema([("id", pa.int64())]))
    assert str(root) in str(told.value), "the library names the whole path"
    shown = without_folders(ctx, f"The file could not be written ({told.value.strerror}).")
    assert "day/.part-im_1/e1-along.parquet" in shown
    assert str(tmp_path) not in shown


async def test_the_folder_itself_is_named_by_its_last_name(ctx, tmp_path):
    shown = without_folders(ctx, f"Cannot read {ctx.deployment.export_dirs[0]}: it is away.")
    assert shown == "Cannot read exports: it is away."
