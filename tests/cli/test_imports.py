import hashlib
import re
import resource

import pyarrow.parquet as pq


def test_an_import_ends_with_the_stamp_and_a_whole_file(keyturn, acme, tmp_path):
    target = tmp_path / "orders.parquet"
    ran = keyturn("import", "acme.orders", "--to", str(target))
    assert ran.code == 0, ran.err
    digest = hashlib.sha256(target.read_bytes()).hexdigest()[:8]
    line = rf"✓ Complete: 1,234 of 1,234 rows, 13 pages, stopped: no next link → {target} \(\d+\.\d kB, sha256 {digest}…\)\n"
    assert re.fullmatch(line, ran.out)
    assert ran.err == ""
    assert pq.read_table(target).num_rows == 1234
    assert [entry.name for entry in tmp_path.iterdir()] == ["orders.parquet"]


def test_an_import_as_json_is_the_import_with_its_file(keyturn, acme, tmp_path):
    ran = keyturn("import", "acme.orders", "--to", str(tmp_path / "o.parquet"), "--json")
    assert ran.json["completeness"]["complete"] is True
    assert ran.json["path"] == str(tmp_path / "o.parquet")
    shown = keyturn("imports", "show", ran.json["id"])
    assert "1,234 of 1,234 rows, 13 pages, stopped: no next link" in shown.out
    assert keyturn("imports", "show", ran.json["id"], "--json").json["files"] == ran.json["files"]
    assert keyturn("imports", "cancel", ran.json["id"]).code == 1


def test_missing_rows_exit_4_and_leave_the_file_as_it_was(keyturn, odd_table, tmp_path):
    target = tmp_path / "full.parquet"
    target.write_bytes(b"before")
    name = odd_table("full")
    ran = keyturn("import", name, "--to", str(target))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("! Incomplete: 100 rows, 1 page, stopped: no next link. We got exactly 100 rows")
    assert target.read_bytes() == b"before"
    assert keyturn("import", name, "--to", str(target), "--json").code == 4
    kept = keyturn("import", name, "--to", str(target), "--allow-incomplete")
    assert kept.code == 0
    assert kept.err.startswith("! Incomplete: 100 rows")
    assert pq.read_table(target).num_rows == 100


def test_a_total_nobody_told_is_complete_and_says_so(keyturn, odd_table, tmp_path):
    ran = keyturn("import", odd_table("paged"), "--to", str(tmp_path / "p.parquet"))
    assert ran.code == 0, ran.err
    assert re.match(r"✓ Complete(, total unknown)?: 50 rows, \d pages, stopped: ", ran.out)


def test_an_import_that_fails_says_why(keyturn, odd_table, tmp_path):
    ran = keyturn("import", odd_table("broken"), "--to", str(tmp_path / "b.parquet"))
    assert (ran.code, ran.out) == (1, "")
    assert "418" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_refused_before_the_import_begins(keyturn, acme, tmp_path):
    count = len(keyturn("imports", "list", "--limit", "1000", "--json").json["data"])
    for target in ("orders", "orders.xlsx", str(tmp_path / "nowhere" / "o.parquet"), str(tmp_path) + "/"):
        assert keyturn("import", "acme.orders", "--to", target).code == 2
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    assert keyturn("import", "acme.orders", "--to", str(folder)).code == 2
    assert len(keyturn("imports", "list", "--limit", "1000", "--json").json["data"]) == count


def test_without_waiting_the_id_is_all_there_is(keyturn, acme, tmp_path):
    ran = keyturn("import", "acme.orders", "--to", str(tmp_path / "o.parquet"), "--no-wait")
    assert ran.code == 0
    assert keyturn("imports", "show", ran.out.strip()).code == 0
    lines = keyturn("imports", "list").out.splitlines()
    assert lines[0].split() == ["ID", "TABLE", "STATUS", "ROWS", "PAGES", "STARTED"]
    assert ran.out.strip() in keyturn("imports", "list").out


def test_an_unknown_import_or_table_exits_7(keyturn, acme, tmp_path):
    assert keyturn("imports", "show", "im_nothing").code == 7
    assert keyturn("import", "acme.order", "--to", str(tmp_path / "o.parquet")).code == 7


def test_without_room_here_the_import_is_done_and_its_file_is_fetched_later(keyturn, acme, tmp_path):
    target = tmp_path / "orders.parquet"
    target.write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        ran = keyturn("import", "acme.orders", "--to", str(target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (ran.code, ran.out) == (2, "")
    assert f"{target} cannot be written (File too large). {target} is as it was. The import is done" in ran.err
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("orders.parquet", b"before")]
    fetch = re.search(r"keyturn (imports download im_\w+ --to) FILE", ran.err)
    ran = keyturn(*fetch[1].split(), str(target))
    assert ran.out.startswith("✓ Complete: 1,234 of 1,234 rows, 13 pages, stopped: no next link → "), ran.err
    assert pq.read_table(target).num_rows == 1234


def test_what_was_not_waited_for_is_fetched_when_it_has_ended(keyturn, acme, odd_table, tmp_path):
    target = tmp_path / "o.ndjson"
    begun = keyturn("import", odd_table("paged"), "--to", str(target), "--no-wait").out.strip()
    while keyturn("imports", "show", begun, "--json").json["status"] in {"queued", "running"}:
        pass
    found = keyturn("imports", "download", begun, "--to", str(target), "--json").json
    assert (found["id"], found["path"], len(target.read_text().splitlines()) >= 50) == (begun, str(target), True)
    assert keyturn("imports", "download", begun, "--to", str(tmp_path / "nowhere" / "o.ndjson")).code == 2
    assert keyturn("imports", "download", "im_nothing", "--to", str(target)).code == 7
    failed = keyturn("import", odd_table("broken"), "--to", str(target), "--no-wait").out.strip()
    while keyturn("imports", "show", failed, "--json").json["status"] in {"queued", "running"}:
        pass
    ran = keyturn("imports", "download", failed, "--to", str(target))
    assert (ran.code, "Only an import that ended with one can be downloaded" in ran.err) == (7, True), ran.err
