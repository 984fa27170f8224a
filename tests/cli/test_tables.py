import csv
import io
import json


def test_detecting_says_what_was_found_in_one_line(keyturn, acme):
    ran = keyturn("tables", "detect", "acme", "/orders")
    assert ran.code == 0
    assert ran.out == "rows at $.data · next link at $.paging.next · page 2 differs ✓ · key id · 1,234 rows in all\n"
    assert "  · pagination: " in ran.err
    assert keyturn("tables", "detect", "acme", "/orders", "--json").json["table"]["primary_key"] == ["id"]


def test_a_table_is_added_listed_shown_and_deleted(keyturn, acme):
    ran = keyturn("tables", "add", "acme.customers")
    assert (ran.code, ran.out) == (0, "✓ Added acme.customers\n")
    assert "acme.customers" in keyturn("tables", "list", "--connection", "acme").out
    assert "GET /customers" in keyturn("tables", "show", "acme.customers").out
    assert keyturn("tables", "delete", "acme.customers").code == 2
    assert keyturn("tables", "delete", "acme.customers", "--yes").out == "✓ Deleted acme.customers\n"


def test_settings_given_by_hand_are_kept(keyturn, acme):
    ran = keyturn(
        *("tables", "add", "acme.by_hand", "--path", "/orders", "--rows-path", "$.data", "--primary-key", "id, status"),
        *("--pagination", '{"type": "next_url", "next_url_path": "$.paging.next"}', "--query", "status=paid"),
        *("--column", "total=decimal(18,2)", "--json"),
    )
    assert ran.code == 0, ran.err
    assert ran.json["primary_key"] == ["id", "status"]
    assert ran.json["columns"] == [{"name": "total", "type": "decimal(18,2)"}]
    assert ran.json["query"] == {"status": "paid"}
    assert keyturn("tables", "delete", "acme.by_hand", "--yes").code == 0


def test_a_name_without_a_connection_is_a_usage_error(keyturn):
    assert keyturn("tables", "add", "orders").code == 2
    assert keyturn("tables", "add", "nowhere.orders").code == 7


def test_the_schema_has_a_line_for_each_column(keyturn, acme):
    lines = keyturn("tables", "schema", "acme.orders").out.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "NULLABLE", "SOURCE", "PATH", "NOTE"]
    assert lines[1].split()[:2] == ["id", "int64"]
    columns = keyturn("tables", "schema", "acme.orders", "--refresh", "--json").json["columns"]
    assert columns[0]["source_path"] == "$.id"


def test_a_preview_has_its_header_on_stderr_and_its_rows_on_stdout(keyturn, acme):
    ran = keyturn("preview", "acme.orders", "--limit", "5")
    assert ran.err == "Sample: 5 of 1,234 rows\n"
    assert len(ran.out.splitlines()) == 6
    assert ran.out.split()[0] == "id"


def test_a_preview_is_csv_or_json_for_machines(keyturn, acme):
    rows = list(csv.DictReader(io.StringIO(keyturn("preview", "acme.orders", "--limit", "2", "--csv").out)))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert json.loads(rows[0]["items"])[0]["sku"]
    found = keyturn("preview", "acme.orders", "--limit", "2", "--json")
    assert len(found.json["rows"]) == 2
    assert found.err == ""


def test_a_preview_says_what_was_sent_and_what_came_when_it_is_asked(keyturn, acme):
    ran = keyturn("preview", "acme.orders", "--limit", "1", "--request", "--response")
    assert ran.err.startswith("Sample: 1 of ")
    lines = ran.out.splitlines()
    assert (lines[0].startswith("GET http"), "Accept: application/json" in lines) == (True, True)
    assert (lines[3].startswith("curl -sS -X GET "), "$ACCESS_TOKEN" in lines[3]) == (True, True)
    assert (lines[5], lines[-2].startswith("id ")) == ("200", True)
    ran = keyturn("preview", "acme.orders", "--limit", "1", "--request", "--csv")
    assert ("curl" in ran.err, len(ran.out.splitlines())) == (True, 2)
    assert not {"request", "response"} & {*json.loads(keyturn("preview", "acme.orders", "--json").out)}


def test_an_unknown_table_exits_7_with_what_was_meant(keyturn, acme):
    ran = keyturn("preview", "acme.ordres")
    assert (ran.code, ran.out) == (7, "")
    assert ran.err == "✗ There is no table called acme.ordres. Did you mean acme.orders?\n"


def test_text_from_the_api_cannot_move_the_cursor(keyturn, odd_table):
    ran = keyturn("preview", odd_table("hostile"))
    assert "\\x1b[2J\\x07evil\\x202e" in ran.out
    assert "日本" in ran.out


def test_an_empty_table_says_so(keyturn, odd_table):
    ran = keyturn("preview", odd_table("empty"))
    assert ran.code == 0
    assert "0 rows" in ran.err


def test_a_total_the_api_does_not_say_is_said(keyturn, odd_table):
    assert keyturn("preview", odd_table("paged"), "--limit", "3").err == "Sample: 3 of how many the API does not say\n"
