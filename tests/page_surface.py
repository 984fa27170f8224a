"""The fourth way in which tables are read: a person at the web pages, who fills in forms and presses buttons."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.web.pages.imports import STOPPED
from keyturn.web.pages.table_results import CHANGES
from pages import Element, Page, Person
from surfaces import Failed, Surface

_ENDED = {"Complete", "Complete, total unknown", "Limited", "Incomplete", "Failed", "Cancelled"}
_VERDICTS = {"Complete": True, "Complete, total unknown": None, "Limited": None, "Incomplete": False}
_WAITS = {"Waiting (rate limit)": "rate_limit", "Waiting (own limit)": "own_cap"}
_LINES = {"query": "=", "headers": ": "}


class PageSurface(Surface):
    """Whatever is asked of it is done on the pages and read off them."""

    person: Person

    def create(self, connection: str, name: str, **settings: Any) -> dict[str, Any]:
        page = self.person.open(f"/tables/new?connection_id={self.connection_id(connection)}")
        typed = _typed({"name": name, **settings})
        pins = {key: typed.pop(key) for key in list(typed) if key.startswith("pin:")}
        if pins:
            # The tab Schema is there when rows were found.
            page = self._done(self.person.press(page, "path", typed, "Find rows"))
            typed = pins
        told = self._done(self.person.press(page, "path", typed, "Save table"))
        return self._http("GET", f"/tables/{told.url.split('/')[2].partition('?')[0]}")

    def update(self, name: str, **settings: Any) -> dict[str, Any]:
        page = self._table(name)
        pagination = settings.pop("pagination", {})
        typed = _typed(settings) | {
            f"pagination.{key}": "" if value is None else value for key, value in pagination.items()
        }
        self._done(self.person.press(page, "path", typed, "Save"))
        return self._http("GET", f"/tables/{self.table_id(name)}")

    def detect(self, connection: str, path: str, **settings: Any) -> dict[str, Any]:
        page = self.person.open(f"/tables/new?connection_id={self.connection_id(connection)}")
        page = self._done(self.person.press(page, "path", _typed({"path": path, **settings}), "Find rows"))
        sentences = [each.text for ticks in page.root.all("ul", css="ticks") for each in ticks.all("li")]
        found = page.values(page.form("path"))
        return {"table": {"pagination": {"type": found["pagination"]}, "rows_path": found["rows_path"]},
                "evidence": [{"sentence": sentence} for sentence in sentences]}  # fmt: skip

    def preview(self, name: str, *, limit: int = 100, **asked: Any) -> dict[str, Any]:
        assert "since" not in asked
        root = self._sampled(name, **asked)
        sentence = next(each.text for each in root.all(css="notice") if "read" in each.text)
        kinds = [each.text for head in root.all("th", scope="col") for each in head.all("span", css="why")]
        rows = [
            [_cell(cell, kind) for cell, kind in zip(row.all("td"), kinds, strict=True)]
            for row in root.one("tbody").all("tr")
        ]
        expanded = re.search(r"([\d,]+) rows of the API became", root.text)
        return {"rows": rows[:limit], "truncated": sentence.startswith("Sample: first"),
                "expanded_from": int(expanded[1].replace(",", "")) if expanded else None}  # fmt: skip

    def exchange(self, name: str, **asked: Any) -> dict[str, Any]:
        root = self._sampled(name, **asked)
        request, response = (_message(root.one("pre", aria_label=title).raw) for title in ("Request", "Response"))
        curl = next(each.get("data-copy-text") for each in root.all("button") if each.text == "Copy as cURL")
        method, _, url = request.pop("first").partition(" ")
        body, cut, _ = response["body"].partition("\n… the rest is not shown")
        return {"request": {"method": method, "url": url, "curl": curl, **request},
                "response": {**response, "status": int(response.pop("first")), "body": body, "cut": bool(cut)}}  # fmt: skip

    def sample(self, name: str) -> str:
        """The words of a saved table's sample."""
        return self._sampled(name).text

    def schema(self, name: str) -> list[dict[str, Any]]:
        body = self._sampled(name).one(id="panel-schema").one("tbody")
        cells = [[row.one("th").text, *(cell.text for cell in row.all("td"))] for row in body.all("tr")][:-1]
        return [
            {"name": name, "type": kind, "source_path": path, "nullable": empty.startswith("yes"), "note": note or None}
            for name, kind, _, path, empty, note in cells
        ]

    def known_schema(self, name: str) -> list[tuple[str, str]]:
        """The tab Schema as the page comes, before its script has asked for a sample."""
        body = self._table(name).root.one(id="panel-schema").one("tbody")
        return [(row.one("th").text, next(row.all("td")).text) for row in list(body.all("tr"))[:-1]]

    def learn_columns(self, name: str, **asked: Any) -> None:
        button, typed = "Learn the columns again", {f"param.{key}": str(value) for key, value in asked.items()}
        self._done(self.person.press(self._table(name), button, typed, button))

    def test(self, connection: str, path: str) -> list[tuple[str, str]]:
        page = self.person.open(f"/connections/{self.connection_id(connection)}")
        page = self._done(self.person.press(page, "Test", {}, "Test"))
        page = self._done(self.person.press(page, "path", {"path": path}, "Test again"))
        lines = page.root.one("section", aria_labelledby="steps").all("ul", css="ticks")
        return [(str(each.get("data-state")), each.one("span").text) for ticks in lines for each in ticks.all("li")]

    def read(self, name: str, **asked: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        page = self._imported(name, f"{self.table_id(name)}.ndjson", **asked)
        return self._rows(page), self._stamp(page)

    def read_with_rejects(self, name: str) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
        page = self._imported(name, f"{self.table_id(name)}.ndjson")
        link = next(each.get("href") for each in page.root.all("a") if (each.get("href") or "").endswith("/rejects"))
        lines = self.person.http.get(str(link)).text.splitlines()
        return self._rows(page), self._stamp(page), [json.loads(line) for line in lines]

    def parts(self, name: str) -> dict[str, list[dict[str, Any]]]:
        page = self.person.open(f"/tables/{self.table_id(name)}/import")
        place, values = page.sent("Download all of them", {}, "Download all of them")
        body = self.person.http.get(place, params=values).content
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {
                file.removesuffix(".parquet"): pq.read_table(pa.BufferReader(archive.read(file))).to_pylist()
                for file in archive.namelist()
            }

    def sql(self, query: str, **asked: Any) -> list[list[Any]]:
        """It runs on the caller's machine: the page says how, and that is done."""
        name = query.partition("from ")[2].split()[0]
        assert f'keyturn sql "from {name}' in self._table(name).root.one(id="use-sql").text
        return self._cli("sql", query, *self._params(asked))["rows"]

    def drafts(self, connection: str, source: str | None = None) -> dict[str, Any]:
        page = self.person.open(f"/tables/new?connection_id={self.connection_id(connection)}")
        if source is None:
            page = self.person.press(page, "path", {}, "Find endpoints")
        else:
            page = self.person.press(page, "path", {"source": source}, "Use it")
        self._refused(page)
        many = page.root.one("section", aria_labelledby="choose")
        if many is not None:
            rows = [(row.one("th").text, *row.one("td").text.split()) for row in many.one("tbody").all("tr")]
            found = [{"name": name, "method": method, "path": path} for name, method, path in rows]
            return {"data": found, "found_at": getattr(many.one("span"), "text", None)}
        values = page.values(page.form("path"))
        pairs = [line.partition("=")[::2] for line in values["query"].splitlines()]
        draft = {name: values[name] for name in ("name", "method", "path")}
        return {"data": [draft | ({"query": dict(pairs)} if pairs else {})], "found_at": None}

    def whole(self, name: str) -> None:
        page = self._imported(name, f"{self.table_id(name)}.ndjson")
        if self._state(page) not in {"Complete", "Complete, total unknown"}:
            raise Failed(page.root.text)

    def history(self, name: str) -> list[dict[str, Any]]:
        panel = self._table(name).root.one(id="panel-history")
        words = {shown: kind for kind, shown in CHANGES.items()}
        found: dict[str, list[dict[str, Any]]] = {}
        for row in panel.one("tbody").all("tr") if panel.one("tbody") is not None else ():
            seen, what, before, after = row.all("td")
            change = {"kind": words[what.text], "column": row.one("th").text,
                      "before": before.text or None, "after": after.text or None}  # fmt: skip
            found.setdefault(str(seen.one("time").get("datetime")), []).append(change)
        return [{"seen_at": at, "changes": changes} for at, changes in found.items()]

    def import_to(self, name: str, place: str, *, mode: str = "replace", limit: int | None = None) -> dict[str, Any]:
        page = self._imported(name, place, mode=mode, limit=limit)
        return {"status": _status(self._state(page)), "rows": self._stamp(page)["rows"]}

    def begin(self, name: str, place: str) -> str:
        return self._begun(name, place).url.rpartition("/")[2]

    def shown_waiting(self, import_id: str) -> dict[str, Any]:
        while True:
            page = self.person.open(f"/imports/{import_id}")
            assert self._state(page) not in _ENDED, page.root.text
            reason = page.root.one("div", data_kind="warning")
            if self._state(page) in _WAITS and reason is not None:
                return {"kind": _WAITS[self._state(page)], "reason": reason.text}
            time.sleep(0.05)

    def cancel(self, import_id: str) -> None:
        self.person.press(self.person.open(f"/imports/{import_id}"), "Cancel", {}, "Cancel")

    def limit_endpoints(self, most: int | None) -> None:
        field = "endpoints_per_connection"
        typed = {field: "" if most is None else str(most)}
        page = self._done(self.person.press(self.person.open("/admin/settings"), field, typed, "Save"))
        assert page.values(page.form(field))[field] == typed[field]

    def delete(self, name: str) -> None:
        self._refused(self.person.press(self._table(name), "path", {}, "Yes, delete it"))

    def resumed(self, import_id: str) -> dict[str, Any]:
        page = self.person.open(f"/imports/{import_id}")
        [button] = [each.text for each in page.root.all("button") if each.text.startswith(("Resume from", "Retry"))]
        self.person.press(page, button, {}, button)
        return self.ended(import_id)

    def shown(self, import_id: str) -> dict[str, Any]:
        page = self.person.open(f"/imports/{import_id}")
        tiles = next(page.root.all("dl", css="tiles"))
        return {"status": _status(self._state(page)), "pages": _count(next(tiles.all("dd")).text)}

    def ended(self, import_id: str) -> dict[str, Any]:
        page = self._ended_page(import_id)
        stamped = next(page.root.all("div", css="stamp"), None) is not None
        stamp = self._stamp(page) if stamped else {"rows": None}
        return {"status": _status(self._state(page)), "rows": stamp["rows"], "completeness": stamp}

    def copy(self, name: str, connection: str, as_name: str | None) -> dict[str, Any]:
        """Copy to another connection…"""
        page = self.person.open(f"/tables/{self.table_id(name)}/copy")
        typed = {"connection_id": self.connection_id(connection), **({"name": as_name} if as_name else {})}
        page = self._done(self.person.press(page, "connection_id", typed, "Copy table"))
        return self._http("GET", f"/tables/{page.url.split('/')[2].partition('?')[0]}")

    def save_secret(self, name: str, value: str, host: str) -> dict[str, Any]:
        """Settings › Secrets › New secret."""
        self.person.prove()
        typed = {"name": name, "value": value, "allowed_hosts": host}
        page = self._done(self.person.press(self.person.open("/admin/settings/secrets/new"), "value", typed, "Save"))
        return {"name": page.root.one("h1").text, "allowed_hosts": page.values(page.form("value"))["allowed_hosts"].split(),
                "page": page.root.text}  # fmt: skip

    def _table(self, name: str) -> Page:
        return self.person.open(f"/tables/{self.table_id(name)}")

    def _sampled(self, name: str, **asked: Any) -> Element:
        """The result of a real call: by its script the page asks for it, by its button a person does."""
        page = self._table(name)
        place = page.root.one("section", aria_label="Result of a real call")
        if asked or place.get("data-load") is None:
            typed = {"values": "\n".join(f"{key}={value}" for key, value in asked.items())}
            page = self._done(self.person.press(page, "path", typed, "Find rows"))
            return page.root.one("section", aria_label="Result of a real call")
        page = self.person.open(str(place.get("data-load")))
        self._refused(page)
        return page.root

    def _begun(self, name: str, place: str, *, mode: str = "replace", limit: int | None = None, **asked: Any) -> Page:
        page = self.person.open(f"/tables/{self.table_id(name)}/import")
        kind = place.rpartition(".")[2]
        known = {each.get("name") for each in page.root.all("input")}
        typed = {f"param.{key}": str(value) for key, value in asked.items()}
        if unknown := sorted(set(typed) - known):
            raise Failed(f"This table does not ask for {unknown[0].removeprefix('param.')}: there is no such field.")
        typed |= {"destination.url": place, "destination.type": kind, "mode": mode, "limit": str(limit or "")}
        return self._done(self.person.press(page, "mode", typed, "Start import"))

    def _imported(self, name: str, place: str, **asked: Any) -> Page:
        page = self._ended_page(self._begun(name, place, **asked).url.rpartition("/")[2])
        if self._state(page) == "Failed":
            raise Failed(page.root.text, _code(page))
        return page

    def _ended_page(self, import_id: str) -> Page:
        while self._state(page := self.person.open(f"/imports/{import_id}")) not in _ENDED:
            time.sleep(0.05)
        return page

    def _state(self, page: Page) -> str:
        return page.root.one("main").one("span", **{"class": "state"}).text

    def _rows(self, page: Page) -> list[dict[str, Any]]:
        links = [each.get("href") for each in page.root.all("a") if "/files/" in (each.get("href") or "")]
        lines = [json.loads(line) for link in links for line in self.person.http.get(str(link)).text.splitlines()]
        return [line for line in lines if "$completeness" not in line]

    def _stamp(self, page: Page) -> dict[str, Any]:
        """The stamp as the page shows it, in the API's words."""
        box = next(page.root.all("div", css="stamp"))
        facts = dict(zip((each.text for each in box.all("dt")), (each.text for each in box.all("dd")), strict=True))
        counts = {name: _count(facts.get(title, "0")) for name, title in
                  {"pages": "Pages", "rejected": "Rejected", "duplicates": "Duplicates"}.items()}  # fmt: skip
        reasons = {words: reason for reason, words in STOPPED.items()}
        above = facts.get("Parent rows", "")
        missing = re.search(r"([\d,]+) of them not found", above)
        return {
            **counts,
            "complete": _VERDICTS[box.one("h2").text],
            "truncated": box.one("h2").text == "Limited",
            "rows": _count(box.one("strong").text),
            "stop_reason": reasons[facts["Stopped"]],
            "note": facts.get("Note"),
            "sunset": re.sub(r".* switched off on (.* GMT)\..*", r"\1", facts["Ends"]) if "Ends" in facts else None,
            "expanded_from": _count(facts["Expanded"].removeprefix("from ")) if "Expanded" in facts else None,
            "parent_rows": _count(above) if above else None,
            "not_found": _count(missing[1]) if missing else 0,
        }

    def _done(self, page: Page) -> Page:
        self._refused(page)
        return page

    def _refused(self, page: Page) -> None:
        """Say what the page says went wrong."""
        told = [each.text for each in page.root.all(role="alert")] + [each.text for each in page.root.all(css="wrong")]
        if page.status >= 400 or told:
            raise Failed(" ".join(told) or page.root.one("main").text, _code(page))


def _message(text: str) -> dict[str, Any]:
    """A request or an answer as it is drawn: its first line, the headers, a blank line, the body."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.splitlines()
    return {"first": first, "headers": dict(line.split(": ", 1) for line in lines), "body": body.lstrip("\n")}


def _code(page: Page) -> str | None:
    return next((each.text for each in page.root.all(css="code") if each.text.startswith("E-")), None)


def _status(state: str) -> str:
    return "complete" if state.startswith("Complete") or state == "Limited" else state.lower()


def _count(text: str) -> int:
    return int(text.split(maxsplit=1)[0].replace(",", ""))


def _cell(cell: Element, kind: str) -> Any:
    if next(cell.all("span", css="nil"), None) is not None:
        return None
    if kind == "int64":
        return int(cell.text)
    return float(cell.text) if kind == "float64" else cell.text


def _typed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as what somebody types into the builder."""
    typed: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _LINES:
            typed[name] = "\n".join(f"{key}{_LINES[name]}{text}" for key, text in value.items())
        elif name == "body":
            typed[name] = json.dumps(value)
        elif name == "parameters":
            typed[name] = "\n".join(map(_parameter, value))
        elif name == "primary_key":
            typed[name] = ", ".join(value)
        elif name == "infer_types":
            typed[name] = "yes" if value else None
        elif name == "columns":
            typed |= {f"pin:{pin['name']}": pin["type"] for pin in value}
        elif name == "parent":
            typed |= {"parent.table": value["table"],
                      "parent.values": "\n".join(f"{key}={text}" for key, text in value["values"].items())}  # fmt: skip
        elif name == "pagination":
            kind = value["type"]
            typed |= {f"{kind}.{key}": str(text) for key, text in value.items() if key not in {"type", "max_pages"}}
            typed |= {"pagination": kind, "pagination.max_pages": str(value.get("max_pages", ""))}
        elif name == "incremental":
            typed |= {f"incremental.{key}": str(text) for key, text in value.items()}
        else:
            typed[name] = str(value)
    return typed


def _parameter(item: dict[str, Any]) -> str:
    kind = f": {item['type']}" if "type" in item else ""
    return f"{item['name']}{kind}" + (f" = {item['default']}" if "default" in item else "")
