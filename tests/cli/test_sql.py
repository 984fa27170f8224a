import csv
import io

import pyarrow.parquet as pq

COUNT = "select status, count(*) n from acme.orders group by 1 order by 1"


def test_a_table_is_asked_in_sql(keyturn, acme):
    ran = keyturn("sql", COUNT)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split() == ["status", "n"]
    assert sum(int(line.split()[-1]) for line in ran.out.splitlines()[1:]) == 1234


def test_the_answer_is_csv_or_json_for_machines(keyturn, acme):
    rows = list(csv.DictReader(io.StringIO(keyturn("sql", COUNT, "--csv").out)))
    assert sum(int(row["n"]) for row in rows) == 1234
    found = keyturn("sql", COUNT, "--json").json
    assert found["columns"] == ["status", "n"]
    assert sum(row[1] for row in found["rows"]) == 1234


def test_the_answer_is_written_to_a_file(keyturn, acme, tmp_path):
    to = tmp_path / "sums.parquet"
    ran = keyturn("sql", "select id, total from acme.orders where id > 100", "--to", str(to))
    assert ran.out == f"✓ {pq.read_metadata(to).num_rows:,} rows → {to}\n"
    assert pq.read_schema(to).names == ["id", "total"]
    assert [path.name for path in tmp_path.iterdir()] == ["sums.parquet"]
    for wrong in ("sums.xlsx", "nowhere/sums.csv"):
        ran = keyturn("sql", COUNT, "--to", str(tmp_path / wrong))
        assert (ran.code, "Error" in ran.err) == (2, False), ran.err


def test_nested_columns_are_asked_by_their_names(keyturn, acme):
    ran = keyturn("sql", 'select count("customer.name") n, sum(len(items)) i from acme.orders', "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"][0][0] == 1234


def test_an_api_is_asked_only_for_the_fields_of_the_query_where_it_can(keyturn, odd_table):
    name = odd_table("narrow")
    assert keyturn("sql", f"select asked from {name}", "--json").json["rows"] == [["all"]]
    patched = keyturn("tables", "schema", name)
    assert patched.code == 0
    narrow = odd_table("narrow", columns_param="fields")
    assert keyturn("sql", f"select asked, id from {narrow}", "--json").json["rows"] == [["id,asked", 1]]
    assert len(keyturn("tables", "schema", narrow, "--json").json["columns"]) == 3


def test_missing_rows_exit_4_and_a_wrong_query_2_and_an_unknown_table_7(keyturn, acme, odd_table):
    ran = keyturn("sql", f"select count(*) from {odd_table('full')}")
    assert (ran.code, ran.out) == (4, ""), ran.err
    assert "incomplete" in ran.err
    assert keyturn("sql", "selec 1").code == 2
    ran = keyturn("sql", "select status::int from acme.orders")
    assert (ran.code, "Conversion Error" in ran.err) == (2, True), ran.err
    ran = keyturn("sql", "select * from acme.ordres")
    assert (ran.code, "Did you mean acme.orders?" in ran.err) == (7, True)
