"""Every page there is, found among the routes: axe in both colour schemes, no sideways scrolling in the narrowest window
and at 200 %, and the whole of it by keyboard."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from furnished import furnish
from keyturn.web.routes import PAGES
from looking import Look
from world import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

BY_HAND = {"KEYTURN_BOOTSTRAP_EMAIL": "", "KEYTURN_BOOTSTRAP_PASSWORD": "", "KEYTURN_BOOTSTRAP_API_TOKEN": ""}
# GET routes that are no page, and what they are. Every other one is looked at: a new page needs no line here.
NO_PAGE = {
    "/admin/audit-log/export": "a file",
    "/admin/oauth-clients/lifetime": "a line of the form",
    "/admin/oauth-clients/recognised": "a line of the form",
    "/admin/oauth-clients/redirect-uri": "a line of the form",
    "/admin/oauth-clients/refresh-hint": "a line of the form",
    "/connections/{connection_id}/authorizations/{authorization_id}/state": "a part of the waiting page",
    "/imports/{import_id}/files/{name}": "a file",
    "/imports/{import_id}/live": "a part of the import's page",
    "/imports/{import_id}/rejects": "a file",
    "/tables/{table_id}/parts": "a file",
    "/tables/{table_id}/sample": "a part of the table's page",
    "/tables/{table_id}/reads/{read_id}/rejects": "a file",
    "/sign-in/organisation": "leads away",
    "/prove/organisation": "leads away",
    "/oauth2/organisation/callback": "leads on to a page",
    "/schedules/next": "a line of the form",
    "/oauth2/callback": "leads on to …/done",
    "/oauth2/callback/{slug}": "leads on to …/done",
}
# Pages for whoever has a link, or nothing at all yet: {link} is another one on each.
LINKS = {"/connect/{link}": "connect_link", "/invitations/{link}": "invitation", "/new-password/{link}": "reset"}
BEFORE_SIGN_IN = {"/setup", "/setup/recovery-key", "/sign-in", "/sign-in/code"}
# What a page is asked for besides, and pages in another state than the first one that is met.
MORE = (
    "/nowhere",
    "/connections/{broken_connection_id}",
    "/tables/{broken_table_id}",
    "/tables/new?connection_id={connection_id}",
    "/tables/{asking_table_id}",
    "/tables/{asking_table_id}/import",
    "/tables/{asking_table_id}/schedule",
    "/imports/{stopped_import_id}",
    "/connections/{connection_id}?done=connected",
    "/admin/oauth-clients/{client_id}?done=created",
)
ROUTES = sorted({route.path for router in PAGES for route in router.routes if "GET" in route.methods} - set(NO_PAGE))
# One window per line: the narrowest that WCAG 1.4.10 names, and 1280 px at 200 % (1.4.4).
WIDTHS = (320, 640)
AXE = {"rules": {"target-size": {"enabled": True}}}


def invitations(look: Look, server: Any, things: dict[str, str]) -> dict[str, str]:
    """Links that are shown once, on the pages that make them."""
    page, found = look.page, {}
    page.goto(server.url + "/admin/members")
    page.get_by_label("Email").fill("kim@example.com")
    page.get_by_label("Editor").first.check()
    page.get_by_role("button", name="Make invitation link").click()
    found["invitation"] = page.locator("#link").inner_text().rpartition("/")[2]
    page.get_by_role("button", name="Make password link").or_(
        page.get_by_role("button", name=re.compile("[Pp]assword link"))
    ).first.click()
    found["reset"] = page.locator("#link").inner_text().rpartition("/")[2]
    return {**things, **found}


def addresses(things: dict[str, str]) -> list[str]:
    """Each page's path, filled in. A parameter that is new here wants its thing in `furnished.py`."""
    paths = [path.replace("{link}", f"{{{LINKS[path]}}}") if path in LINKS else path for path in ROUTES]
    return [path.format_map(things) for path in [*paths, *MORE] if path not in BEFORE_SIGN_IN]


def opened(look: Look, url: str) -> str | None:
    """Go there and wait until its parts have come; answers the name of the page, or None when it led elsewhere."""
    page = look.page
    path = urlsplit(url).path
    answer = page.goto(url)
    assert answer.status < 400 or path == "/nowhere" or path.endswith("/done"), (url, answer.status)
    page.wait_for_load_state("networkidle") if page.locator("[data-load]").count() else None
    page.evaluate("document.fonts.ready")
    return re.sub(r"[^a-z]+", "-", re.sub(r"/[^/]*\d[^/]*", "", path).lower()).strip("-") or "home"


@pytest.fixture
def furnished(world, steps, look):
    server = world.serve(KEYTURN_LOG_LEVEL="warning")
    things = furnish(world, steps, server)
    look.sign_in(server)
    return server, invitations(look, server, things)


def test_every_page_is_fine_for_axe_in_both_schemes_and_fits_the_narrowest_window(furnished, look):
    server, things = furnished
    wrong: list[str] = []
    for path in addresses(things):
        name = opened(look, server.url + path)
        wrong += look.over(name, path, widths=WIDTHS, options=AXE)
    assert not wrong, "\n" + "\n".join(wrong)
    assert look.trouble == [], look.trouble


def test_every_list_is_fine_while_it_is_empty_and_before_there_is_an_account(world, look):
    server = world.serve(**BY_HAND, KEYTURN_LOG_LEVEL="info")
    page = look.page
    wrong: list[str] = []
    page.goto(re.search(r"make the first account: (\S+)", server.log)[1])
    wrong += look.over("setup", "/setup", widths=WIDTHS, options=AXE)
    page.get_by_label("Your name").fill("Ana Lopes")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/setup/recovery-key")
    wrong += look.over("recovery-key", "/setup/recovery-key", widths=WIDTHS, options=AXE)
    page.get_by_label("I saved it").check()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="profile menu").wait_for()
    for path in ROUTES:
        if "{" not in path and path not in BEFORE_SIGN_IN:
            name = opened(look, server.url + path)
            wrong += look.over(f"empty-{name}", path, widths=WIDTHS, options=AXE)
    look.context.clear_cookies()
    page.goto(server.url + "/sign-in")
    wrong += look.over("sign-in", "/sign-in", widths=WIDTHS, options=AXE)
    assert not wrong, "\n" + "\n".join(wrong)
    assert look.trouble == [], look.trouble
