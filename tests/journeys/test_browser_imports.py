"""Imports and schedules in a real browser: cancelled and resumed, scheduled, paused, with each page looked at by axe."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

import keyturn
import warehouse as databases
from destination_fires import allowed
from world import TOKEN

pytestmark = pytest.mark.browser


def table_of(server, world, steps) -> dict:
    """A table on a connection of its own."""
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    return steps.ok(server.api.post("/tables", json=body))


@pytest.fixture
def table(world, steps):
    server = world.serve()
    return server, table_of(server, world, steps)


def test_an_import_is_cancelled_and_resumed_on_its_page(world, table, look):
    server, orders = table
    page, faults = look.page, world.end_system.demo.faults
    look.sign_in(server)
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    faults.api_429s = 4
    page.get_by_role("button", name="Start import").click()
    page.get_by_text("asked us to wait (429)").wait_for()
    look.at("50-import-waiting")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. The previous file is untouched").wait_for()
    look.at("51-import-cancelled")
    faults.api_429s = 0
    page.get_by_role("button", name="Retry").or_(page.get_by_role("button", name="Resume from page")).click()
    page.get_by_role("heading", name="Complete").wait_for()
    look.at("52-import-complete")


def test_a_table_is_scheduled_paused_and_changed(world, table, look):
    server, orders = table
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/schedules")
    page.get_by_role("heading", name="Nothing is scheduled.").wait_for()
    look.at("60-no-schedules")
    page.goto(f"{server.url}/tables/{orders['id']}")
    page.get_by_role("link", name="Schedule", exact=True).click()
    runs = page.locator("[data-next-runs] li")
    expect(runs).to_have_count(5)
    look.at("61-schedule-new")
    page.get_by_label("Repeat").select_option("cron")
    page.get_by_label("Cron", exact=True).fill("0 6 31 2 *")
    expect(page.locator("[data-when-words]")).to_contain_text("This cron never runs.")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_role("alert").wait_for()
    look.at("62-schedule-wrong")
    page.get_by_label("Repeat").select_option("week")
    page.get_by_label("On", exact=True).select_option("friday")
    page.get_by_label("Timezone").select_option("Europe/Berlin")
    expect(page.locator("[data-when-words]")).to_have_text("Every week on Friday at 06:00, Europe/Berlin")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_text("Saved. The first run is shown under Next.").wait_for()
    page.get_by_role("rowheader").get_by_role("link", name="acme.orders").click()
    page.get_by_role("heading", name="Next five runs").wait_for()
    look.at("63-schedule")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.goto(f"{server.url}/schedules")
    page.get_by_text("Paused").wait_for()
    look.at("64-schedules")
    # A timezone that the page does not offer is not lost when something else is saved there.
    (schedule,) = server.api.get("/schedules").json()["data"]
    assert server.api.patch(f"/schedules/{schedule['id']}", json={"timezone": "EST5EDT"}).status_code == 200
    page.goto(f"{server.url}/schedules/{schedule['id']}")
    page.get_by_label("At", exact=True).fill("07:30")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_text("Saved.").wait_for()
    now = server.api.get(f"/schedules/{schedule['id']}").json()
    assert (now["timezone"], now["at"]) == ("EST5EDT", "07:30")


def test_an_import_that_repeats_goes_on_to_its_schedule_with_what_was_chosen(table, look):
    server, orders = table
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    page.get_by_label("Where to").select_option("csv")
    page.get_by_label("File", exact=True).fill("weekly.csv")
    page.get_by_label("If it exists").select_option("append")
    page.get_by_label("Repeat").select_option("week")
    look.at("65-import-that-repeats")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Schedule acme.orders").wait_for()
    page.get_by_label("On", exact=True).select_option("monday")
    look.at("66-its-schedule")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_text("Saved. The first run is shown under Next.").wait_for()
    [schedule] = server.api.get("/schedules").json()["data"]
    assert (schedule["every"], schedule["mode"]) == ("week", "append")
    assert (schedule["destination"]["type"], schedule["destination"]["url"]) == ("csv", "weekly.csv")
    assert server.api.get("/imports").json()["data"] == []


def test_a_database_is_made_a_destination_tested_and_imported_to(world, steps, warehouse, look):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, warehouse))
    orders = table_of(server, world, steps)
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/admin/settings")
    page.get_by_role("link", name="New destination").click()
    page.get_by_role("button", name="Create").click()
    page.locator("#url-error").wait_for()
    look.at("67-destination-wrong")
    page.get_by_label("Name", exact=True).fill("Warehouse")
    page.locator("#url").fill(warehouse.url)
    page.get_by_label("Password").fill(databases.PASSWORD)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Test").click()
    page.get_by_text("It takes tables (PostgreSQL").wait_for()
    assert databases.PASSWORD not in page.content()
    look.at("68-destination")
    page.goto(f"{server.url}/admin/settings")
    look.at("69-settings-with-a-destination")
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    page.get_by_label("Where to").select_option(label="Warehouse (PostgreSQL)")
    page.get_by_label("Table there").fill("orders_of_acme")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    look.at("70-imported-into-a-database")
    assert warehouse.rows("select count(*), count(distinct id) from orders_of_acme") == [(1234, 1234)]
    with keyturn.connect(server.url, TOKEN) as ws:
        assert ws.run_import("acme.orders", to="Warehouse/again").wait().status == "complete"
    assert warehouse.rows("select count(*), count(distinct id) from again") == [(1234, 1234)]


def at_a_new_destination(world, steps, look, store, kind: str):
    """The form of a destination of that kind, at a server that may reach the store; answers it and a table."""
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, store))
    orders = table_of(server, world, steps)
    look.sign_in(server)
    look.page.goto(f"{server.url}/admin/settings/destinations/new")
    look.page.get_by_role("link", name=kind).click()
    return server, orders


def test_a_bucket_is_made_a_destination_tested_and_imported_to(world, steps, store, look):
    server, orders = at_a_new_destination(world, steps, look, store, "S3")
    page = look.page
    look.at("71-new-bucket")
    page.get_by_role("button", name="Create").click()
    page.locator("#access_key_id-error").wait_for()
    look.at("72-bucket-wrong")
    page.get_by_label("Name", exact=True).fill("Lake")
    page.get_by_label("Bucket and folder").fill(f"s3://{store.bucket}/tables")
    page.get_by_label("Access key id").fill(store.key_id)
    page.get_by_label("Secret access key").fill(store.secret)
    page.get_by_label("Region").fill("eu-central-1")
    page.get_by_label("Endpoint").fill(store.endpoint)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Test").click()
    page.get_by_text("It takes objects").wait_for()
    assert store.secret not in page.content()
    look.at("73-bucket")
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    page.get_by_label("Where to").select_option(label="Lake (S3)")
    page.get_by_label("File", exact=True).fill("orders")
    page.get_by_role("button", name="Start import").click()
    page.get_by_text("The file’s ending chooses the format").first.wait_for()
    look.at("74-import-to-a-bucket")
    page.get_by_label("File", exact=True).fill("orders.csv")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    look.at("75-imported-into-a-bucket")
    assert len(store.read("tables/orders.csv").splitlines()) == 1235


def made_tested_and_imported_to(look, server, orders, store, kind, shot):
    """The form is filled in: create the destination, test it, and import orders to it."""
    page = look.page
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Test").click()
    page.get_by_text("It takes objects").wait_for()
    assert not [secret for secret in store.secrets() if secret in page.content()]
    look.at(shot)
    page.goto(f"{server.url}/admin/settings")
    assert page.get_by_role("cell", name=kind).is_visible()
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    page.get_by_label("Where to").select_option(label=f"Lake ({kind})")
    page.get_by_label("File", exact=True).fill("orders.csv")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    assert len(store.read("tables/orders.csv").splitlines()) == 1235


def test_a_bucket_of_google_is_made_a_destination_tested_and_imported_to(world, steps, google_store, look):
    server, orders = at_a_new_destination(world, steps, look, google_store, "Google Cloud Storage")
    page = look.page
    look.at("71-new-bucket-of-google")
    page.get_by_label("Name", exact=True).fill("Lake")
    page.get_by_label("Bucket and folder").fill(f"gs://{google_store.bucket}/tables")
    page.get_by_label("Key file").fill("{")
    page.get_by_role("button", name="Create").click()
    page.locator("#password-error").wait_for()
    look.at("72-bucket-of-google-wrong")
    page.get_by_label("Key file").fill(google_store.secret)
    page.get_by_label("Endpoint").fill(google_store.endpoint)
    made_tested_and_imported_to(look, server, orders, google_store, "Google Cloud Storage", "73-bucket-of-google")


def test_an_update_without_a_key_leads_to_where_it_is_set_and_back(world, table, look):
    server, orders = table
    server.api.patch(f"/tables/{orders['id']}", json={"primary_key": []})
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/tables/{orders['id']}/import")
    expect(page.locator("#estimate")).to_have_text("EstimateAbout 13 requests.")
    page.get_by_role("textbox", name="File").fill("kept.parquet")
    page.get_by_label("If it exists").select_option("update")
    page.get_by_role("button", name="Start import").click()
    expect(page.locator("#mode-error")).to_contain_text("Update needs a unique key.")
    look.at("65-update-needs-a-key", widths=(320, 1280))
    page.get_by_role("link", name="Set one").click()
    expect(page.locator("#primary_key")).to_be_focused()
    page.get_by_text("Set the unique key and save").wait_for()
    look.at("66-key-is-set", widths=(320, 1280))
    page.locator("#primary_key").fill("id")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="Import acme.orders").wait_for()
    expect(page.get_by_role("textbox", name="File")).to_have_value("kept.parquet")
    expect(page.get_by_label("If it exists")).to_have_value("update")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Complete").wait_for()


def test_what_is_skipped_is_called_skipped(table, look):
    server, orders = table
    look.sign_in(server)
    look.page.goto(f"{server.url}/tables/{orders['id']}/schedule")
    for field, usual in (("If a run is missed", "Run once when back"), ("If still running", "Skip")):
        select = look.page.get_by_label(field)
        expect(select).to_have_accessible_description("Skipping is shown as Skipped, not Failed.")
        expect(select.locator("option:checked")).to_have_text(usual)
    look.at("67-schedule-policies", widths=(320, 1280))


def test_a_container_of_azure_is_made_a_destination_tested_and_imported_to(world, steps, azure_store, look):
    server, orders = at_a_new_destination(world, steps, look, azure_store, "Azure Blob Storage")
    page = look.page
    look.at("71-new-container-of-azure")
    page.get_by_label("Name", exact=True).fill("Lake")
    page.get_by_label("Container and folder").fill(f"az://{azure_store.bucket}/tables")
    page.get_by_label("Account key or SAS token").fill("sv=2023-11-03")
    page.get_by_role("button", name="Create").click()
    page.locator("#account-error").wait_for()
    page.get_by_label("Storage account").fill("acmelake")
    page.get_by_label("Endpoint").fill(azure_store.endpoint)
    page.get_by_label("Account key or SAS token").fill("sv=2023-11-03")
    page.get_by_role("button", name="Create").click()
    page.locator("#password-error").wait_for()
    look.at("72-container-of-azure-wrong")
    page.get_by_label("Account key or SAS token").fill(azure_store.secret)
    made_tested_and_imported_to(look, server, orders, azure_store, "Azure Blob Storage", "73-container-of-azure")
