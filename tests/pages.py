"""Web pages as somebody uses them without a script: what stands there, forms filled in as they are, buttons pressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx2

from world import PASSWORD

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "use", "wbr"}


@dataclass
class Element:
    """One element of a page with what is in it."""

    tag: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        """Its words, white space as one space."""
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        """Its text as it stands."""
        return "".join(part if isinstance(part, str) else part.raw for part in self.inside)

    def all(self, tag: str | None = None, *, css: str | None = None, **attributes: str) -> Iterator[Element]:
        """What is inside with this tag, class and attributes, in the order of the page."""
        for part in self.inside:
            if isinstance(part, str):
                continue
            fits = all(
                part.get(name.replace("_", "-").removesuffix("-")) == value for name, value in attributes.items()
            )
            if fits and tag in {None, part.tag} and (css is None or css in part.classes):
                yield part
            yield from part.all(tag, css=css, **attributes)

    def one(self, tag: str | None = None, **attributes: str) -> Element | None:
        return next(self.all(tag, **attributes), None)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("#page", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        for index in range(len(self._open) - 1, 0, -1):
            if self._open[index].tag == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def parsed(text: str) -> Element:
    builder = _Builder()
    builder.feed(text)
    builder.close()
    return builder.root


@dataclass
class Page:
    """A page that is open, and its address."""

    url: str
    status: int
    root: Element

    def form(self, holding: str) -> Element:
        """The form that has a field or button of this name or these words."""
        for found in self.root.all("form"):
            if any(holding in {each.get("name"), each.text} for each in self._controls(found)):
                return found
        raise AssertionError(f"no form with {holding} on {self.url}")

    def _controls(self, form: Element) -> Iterator[Element]:
        kinds = {"input", "select", "textarea", "button"}
        for each in self.root.all():
            if each.tag in kinds and each.get("form") is not None and each.get("form") == form.get("id"):
                yield each
        yield from (each for each in form.all() if each.tag in kinds)

    def values(self, form: Element) -> dict[str, str]:
        """What a browser would send of a form as it stands, without a button."""
        found: dict[str, str] = {}
        for each in self._controls(form):
            name = each.get("name")
            if each.tag == "button" or not name or each.get("disabled") is not None:
                continue
            if each.tag == "select":
                options = list(each.all("option"))
                chosen = next((one for one in options if one.get("selected") is not None), options[0])
                found[name] = chosen.get("value") if chosen.get("value") is not None else chosen.text
            elif each.tag == "textarea":
                found[name] = each.raw
            elif each.get("type") in {"checkbox", "radio"} and each.get("checked") is None:
                continue
            else:
                found[name] = each.get("value") or ""
        return found

    def sent(self, holding: str, typed: dict[str, Any], press: str) -> tuple[str, dict[str, str]]:
        """Where the form goes and what is sent, when `typed` is filled in and the button with these words pressed.

        A field that is not on the page cannot be filled in.
        """
        form = self.form(holding)
        controls = list(self._controls(form))
        known = {each.get("name") for each in controls if each.get("type") != "hidden"}
        assert set(typed) <= known, f"{sorted(set(typed) - known)} cannot be typed on {self.url}"
        for each in controls:
            if each.tag == "select" and typed.get(str(each.get("name"))) is not None:
                choices = {one.get("value") if one.get("value") is not None else one.text for one in each.all("option")}
                assert typed[str(each.get("name"))] in choices, f"{each.get('name')} offers {choices}"
        values = {name: value for name, value in (self.values(form) | typed).items() if value is not None}
        buttons = [each for each in controls if each.tag == "button" and press in {each.text, each.get("aria-label")}]
        assert buttons, f"no button {press} on {self.url}"
        if buttons[0].get("name"):
            values[str(buttons[0].get("name"))] = buttons[0].get("value") or ""
        return buttons[0].get("formaction") or form.get("action") or self.url, values


class Person:
    """Somebody signed in, page after page."""

    def __init__(self, server_url: str) -> None:
        self.url = server_url
        headers = {"Origin": server_url}
        self.http = httpx2.Client(base_url=server_url, headers=headers, timeout=60, follow_redirects=True)
        email = {"email": "ana@example.com", "password": PASSWORD}
        self.press(self.open("/sign-in"), "password", email, "Sign in")

    def open(self, path: str) -> Page:
        return self._page(self.http.get(path))

    def prove(self) -> None:
        """The password again where it is asked for: a server of tests may run longer than a proof counts."""
        page = self.open("/prove")
        if page.root.one("form", action="/prove") is not None:
            page = self.press(page, "password", {"password": PASSWORD}, "Go on")
        assert page.root.one("h1").text == "Thank you", page.root.text

    def press(self, page: Page, holding: str, typed: dict[str, Any], button: str) -> Page:
        """The page that comes of filling in a form and pressing a button of it."""
        place, values = page.sent(holding, typed, button)
        return self._page(self.http.post(place, data=values))

    def _page(self, answer: httpx2.Response) -> Page:
        assert answer.status_code < 500, answer.text
        return Page(str(answer.url).removeprefix(self.url), answer.status_code, parsed(answer.text))
