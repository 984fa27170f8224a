import hashlib

import pytest

from keyturn.client.imports import format_of
from keyturn.errors import Conflict, IncompleteData, Invalid, NotFound, ReconnectNeeded, UpstreamTimeout

DATA = b"PAR1" + b"x" * 100_000
FILE = {"name": "orders.parquet", "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
STAMP = {"rows": 3, "pages": 1, "reported_total": 3, "stop_reason": "no_next", "complete": True}
QUEUED = {
    "id": "im_1",
    "table_name": "acme.orders",
    "status": "queued",
    "rows": 0,
    "pages": 0,
    "reported_total": None,
    "completeness": None,
    "error": None,
    "waiting": None,
}
DONE = QUEUED | {"status": "complete", "completeness": STAMP}


@pytest.fixture
def run(fake, ws):
    fake.on("GET", "/tables", {"data": [{"id": "tb_1", "full_name": "acme.orders"}], "next_cursor": None})
    fake.on("POST", "/imports", QUEUED, status=202)
    fake.on("GET", "/imports/im_1", QUEUED | {"status": "running"}, DONE)
    fake.on("GET", "/imports/im_1/files", {"data": [FILE], "next_cursor": None})
    return ws.run_import("acme.orders", to="orders.parquet")


@pytest.fixture
def download(fake, made):
    def answer(body, **options):
        fake.on("GET", "/imports/im_1/files/orders.parquet", lambda: made.streamed(body, **options))

    return answer


def test_an_import_is_asked_for_with_the_format_of_the_files_ending(fake, run):
    assert fake.asked[-1].json == {
        "table_id": "tb_1",
        "destination": {"type": "parquet", "url": "orders.parquet"},
        "mode": "replace",
    }
    assert "im_1" in repr(run)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.parquet", "parquet"), ("a.CSV", "csv"), ("a.jsonl", "ndjson"), ("a.duckdb", "duckdb")]
)
def test_endings_choose_formats(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize("name", ["orders", "orders.xlsx", ".parquet"])
def test_an_ending_we_do_not_know_is_refused(name):
    with pytest.raises(Invalid, match=r"orders\.parquet"):
        format_of(name)


def test_waiting_ends_with_the_stamp_and_reports_on_the_way(run):
    seen = []
    assert run.wait(on_progress=lambda now: seen.append(now.status)).status == "complete"
    assert seen == ["running", "complete"]
    assert repr(run.completeness) == "Complete(rows=3, reported=3, pages=1, stopped='no next link')"


def test_an_incomplete_import_is_loud_unless_it_was_allowed(fake, run):
    stamp = STAMP | {"complete": False, "note": "Page 7 is identical to page 6."}
    fake.on("GET", "/imports/im_1", QUEUED | {"status": "incomplete", "completeness": stamp})
    with pytest.raises(IncompleteData, match="Page 7 is identical to page 6"):
        run.wait()
    assert run.wait(allow_incomplete=True).status == "incomplete"


def test_a_failed_import_raises_the_error_it_failed_with(fake, run):
    error = {"code": "reconnect_needed", "message_code": "E-GRANT", "message": "Reconnect."}
    fake.on("GET", "/imports/im_1", QUEUED | {"status": "failed", "error": error})
    with pytest.raises(ReconnectNeeded) as caught:
        run.wait()
    assert (caught.value.connection, caught.value.message_code) == ("acme", "E-GRANT")


def test_a_cancelled_import_says_so(fake, run):
    fake.on("POST", "/imports/im_1/cancel", QUEUED | {"status": "cancelled"})
    with pytest.raises(Conflict, match="cancelled"):
        run.cancel().wait()


def test_waiting_can_be_limited(fake, run):
    fake.on("GET", "/imports/im_1", QUEUED)
    with pytest.raises(UpstreamTimeout, match="It goes on"):
        run.wait(timeout_seconds=0)


def test_a_download_appears_under_its_name_only_when_it_is_whole(run, download, tmp_path):
    download(DATA)
    target = tmp_path / "mine.parquet"
    assert run.download(target) == target
    assert target.read_bytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.parquet"]


@pytest.mark.parametrize(
    ("body", "options"),
    [(DATA, {"cut_after": 5000}), (DATA[:-1], {}), (DATA[:-1] + b"y", {}), (DATA + b"z", {})],
    ids=["cut", "short", "changed", "long"],
)
def test_a_download_that_is_not_what_the_server_has_leaves_the_old_file_alone(run, download, tmp_path, body, options):
    download(body, **options)
    target = tmp_path / "mine.parquet"
    target.write_bytes(b"before")
    with pytest.raises(IncompleteData):
        run.download(target)
    assert target.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.parquet"]


def test_a_download_without_one_file_or_without_a_place_is_refused(fake, run, download, tmp_path):
    download(DATA)
    with pytest.raises(Invalid, match="cannot be written"):
        run.download(tmp_path / "nowhere" / "a.parquet")
    fake.on("GET", "/imports/im_1/files", {"data": [], "next_cursor": None})
    with pytest.raises(NotFound):
        run.download(tmp_path / "a.parquet")


def test_imports_are_listed_and_found_by_id(fake, ws, run):
    fake.on("GET", "/imports", {"data": [DONE], "next_cursor": None})
    assert [item.id for item in ws.imports] == ["im_1"]
    assert ws.imports["im_1"].id == "im_1"
    with pytest.raises(NotFound):
        ws.imports["../me"]
