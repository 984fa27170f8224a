"""A person's eyes: a real Chromium whose pages are looked at by axe, at two widths, without a console error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from world import PASSWORD

SHOTS = os.environ.get("KEYTURN_SHOTS")

WINDOW = {"width": 1280, "height": 800}

# Colours fade from one scheme to the other; axe reads what is there.
SETTLED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.all(document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations < 9)
    .map((a) => a.finished.catch(() => 0)));
}"""

# What makes a page scroll sideways: the elements that reach past the window and lie in no box that scrolls by itself.
STICKS_OUT = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return null;
  const boxed = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  return [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 0.5 && !boxed(e))
    .slice(-3).map((e) => e.outerHTML.slice(0, 120)).join(' | ') || `${root.scrollWidth} px wide`;
}"""


def chromium() -> str | None:
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def _violations(page, options: dict) -> list[dict]:
    """What axe finds wrong; it is loaded into each page once, and says nothing of what is right."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(Axe().axe_script)
    words = "async (options) => (await axe.run(document, options)).violations"
    return page.evaluate(words, {**options, "resultTypes": ["violations"]})


class Look:
    """One person's browser. Each `at` checks the page as a person with any eyes, any window and any patience would."""

    def __init__(self, context) -> None:
        self.context = context
        self.trouble: list[str] = []
        context.on("page", self._listen)
        self.page = context.new_page()

    def sign_in(self, server) -> None:
        """As the first Workspace Admin, from the page that asks for it."""
        page = self.page
        page.goto(server.url)
        page.get_by_label("Email").fill("ana@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="profile menu").wait_for()

    def _listen(self, page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.trouble.append(f"{page.url}: {error}"))

    def _said(self, message) -> None:
        # A refused form is a 4xx on purpose, which Chromium logs of itself.
        if message.type in {"error", "warning"} and "the server responded with a status of 4" not in message.text:
            self.trouble.append(f"{message.location.get('url')}: {message.text}")

    def at(self, name: str, page=None, *, widths: tuple[int, ...] = (380, 1280)) -> None:
        page = page or self.page
        page.evaluate("document.fonts.ready")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} is {wide} px too wide at {width}"
            if SHOTS:
                Path(SHOTS).mkdir(parents=True, exist_ok=True)
                page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)
        found = _violations(page, {})
        told = [f"{v['id']}: {[node['html'][:160] for node in v['nodes']]}" for v in found]
        assert told == [], f"{name}: {told}"
        assert self.trouble == [], self.trouble

    def over(self, name: str, path: str, *, widths: tuple[int, ...], options: dict) -> list[str]:
        """What is wrong with the page that is open: axe in both colour schemes, and what sticks out at each width."""
        page, wrong = self.page, []
        for scheme in ("light", "dark"):
            page.set_viewport_size(WINDOW)
            page.emulate_media(color_scheme=scheme)
            # Chromium may hand out the colours of the scheme before for a moment: what is wrong stays so.
            violations = self._violations(options) and self._violations(options)
            wrong += [f"{path} {scheme}: {rule}: {html}" for rule, html in violations]
            self._shot(f"{name}-{scheme}-1280")
            for width in widths:
                page.set_viewport_size({"width": width, "height": 800})
                if wide := page.evaluate(STICKS_OUT):
                    wrong.append(f"{path} at {width} px: {wide}")
                self._shot(f"{name}-{scheme}-{width}")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WINDOW)
        return wrong

    def _violations(self, options: dict) -> list[tuple[str, str]]:
        self.page.evaluate(SETTLED)
        found = _violations(self.page, options)
        return [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]

    def _shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


@pytest.fixture
def browser() -> Iterator[object]:
    """One Chromium for each test: Playwright's own event loop must not outlive it, or no async test could run after."""
    found = chromium()
    if found is None:
        if os.environ.get("KEYTURN_REQUIRE_BROWSER") == "1":
            pytest.fail("KEYTURN_REQUIRE_BROWSER is set, but there is no Chromium")
        pytest.skip("NO CHROMIUM: the browser tests did not run. Install chromium.")
    with sync_playwright() as playwright:
        # Popups are blocked as they are for people.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(
            executable_path=found, args=arguments, ignore_default_args=["--disable-popup-blocking"]
        )
        yield started
        started.close()


def _looks(browser) -> Iterator[Look]:
    # Without motion: axe, which looks at once after a change of colours, would else see a colour that is on its way.
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(15_000)
    yield Look(context)
    context.close()


# Two people, each with a browser of their own.
look = pytest.fixture(_looks)
another_look = pytest.fixture(_looks)
