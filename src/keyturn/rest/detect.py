"""What an endpoint looks like, found by asking it: where the rows are, how pages follow, which field is the key.

Every finding carries its evidence, and paging is proved: page 2 is fetched and must differ from page 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keyturn.errors import KeyturnError
from keyturn.rest.pace import Pace
from keyturn.rest.paginators import (
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    NoPagination,
    OffsetPagination,
    PageNumberPagination,
    Pagination,
    Seen,
    link_of,
    query_integer,
)
from keyturn.rest.reader import USUAL_SIZES, Endpoint, Reader, Send
from keyturn.rest.rows import parse_body, rows_at, to_json
from keyturn.wire import Request, Response

_NEXT_URL = frozenset({"next", "next_url", "nexturl", "next_page", "nextpage", "next_link", "nextlink", "next_page_url",
                       "next_page_uri", "@odata.nextlink", "nextrecordsurl", "href"})  # fmt: skip
_CURSOR = {
    "next_cursor": "cursor",
    "nextcursor": "cursor",
    "cursor": "cursor",
    "next_token": "next_token",
    "nexttoken": "nextToken",
    "next_page_token": "page_token",
    "nextpagetoken": "pageToken",
    "continuation_token": "continuation_token",
    "after": "after",
    "end_cursor": "after",
    "offset_token": "offset",
    "next_page_cursor": "cursor",
    "starting_after": "starting_after",
}
_MORE = frozenset({"has_more", "hasmore", "more", "has_next", "hasnext", "has_next_page", "hasnextpage"})
_TOTAL = frozenset({"total", "total_count", "totalcount", "total_results", "totalresults", "count", "total_items",
                    "totalitems", "total_records", "totalrecords", "totalsize", "total_rows"})  # fmt: skip
_TOTAL_PAGES = frozenset({"total_pages", "totalpages", "pages", "page_count", "pagecount", "last_page", "num_pages"})
_PAGE = {"page": "page", "page_number": "page", "pagenumber": "page", "current_page": "page", "currentpage": "page"}
# From which row an answer says that it counts, and how many it gives: the parameters that ask for it.
_OFFSET = {"offset": "offset", "skip": "skip", "start": "start", "start_at": "startAt", "startat": "startAt",
           "startindex": "startIndex", "start_index": "start_index"}  # fmt: skip
# SCIM asks with `count` for what it calls itemsPerPage (RFC 7644 §3.4.2.4).
_LIMIT = {"limit": "limit", "maxresults": "maxResults", "max_results": "max_results", "itemsperpage": "count"}
_SIZES = ("per_page", "page_size", "pagesize", "perPage", "pageSize", "limit", "size")
_KEYS = ("id", "uuid", "guid", "key", "code", "_id", "Id", "ID")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a setting was chosen: the setting's name and a sentence. A doubt speaks against it."""

    at: str
    sentence: str
    doubt: bool = False


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found, and the rows of the first page."""

    rows_path: str
    pagination: Pagination
    primary_key: tuple[str, ...]
    reported_total_path: str | None
    reported_total: int | None
    rows: list[Any]
    evidence: tuple[Evidence, ...]
    request: Request
    response: Response


async def detect(
    request: Request,
    send: Send,
    *,
    rows_path: str | None = None,
    pagination: Pagination | None = None,
    primary_key: tuple[str, ...] = (),
    system: str = "The API",
    pace: Pace | None = None,
    format: str = "json",
) -> Detected:
    """Ask for page 1, look, and prove the paging with page 2. Raises what a read raises.

    What is given is not searched for but checked: `pagination` None is to be found.
    """
    reader = Reader(Endpoint(request, "$", NoPagination()), send, system=system, pace=pace)
    first = request if pagination is None else pagination.first(request)
    response = await reader.fetch(first)
    body = parse_body(response, format)
    evidence: list[Evidence] = []
    path = rows_path or _rows_path(body, evidence)
    rows = rows_at(body, path)
    key = primary_key or _primary_key(rows, evidence)
    evidence += _doubts_of_key(rows, primary_key)
    total_path, total = _total(body, len(rows))
    if pagination is not None:
        evidence += await _check(pagination, reader, request, response, (body, path, rows, key, total), format)
        return Detected(path, pagination, key, total_path, total, rows, tuple(evidence), first, response)
    pagination = NoPagination()
    for candidate, why in _candidates(request, response, body, path, len(rows), total_path):
        try:
            proof = await _prove(candidate, reader, request, response, body, path, rows, key, format)
        except KeyturnError:
            proof = None
        if proof is None:
            evidence.append(
                Evidence("pagination", f"{why}, but page 2 is the same as page 1, so that is not it", doubt=True)
            )
        else:
            pagination = candidate
            evidence += [Evidence("pagination", why), *proof]
            break
    if isinstance(pagination, NoPagination):
        evidence.append(_no_paging(len(rows), total))
    return Detected(path, pagination, key, total_path, total, rows, tuple(evidence), request, response)


async def _check(
    pagination: Pagination,
    reader: Reader,
    request: Request,
    response: Response,
    found: tuple[Any, str, list[Any], tuple[str, ...], int | None],
    format: str,
) -> list[Evidence]:
    """What page 2 says of a way of paging that somebody chose."""
    body, path, rows, key, total = found
    if isinstance(pagination, NoPagination):
        return [_no_paging(len(rows), total)]
    try:
        proof = await _prove(pagination, reader, request, response, body, path, rows, key, format)
    except KeyturnError as error:
        return [Evidence("pagination", f"Page 2 could not be read: {error.message}", doubt=True)]
    return proof or [Evidence("pagination", "Page 2 is the same as page 1, so paging is wrong.", doubt=True)]


async def _prove(
    candidate: Pagination,
    reader: Reader,
    request: Request,
    response: Response,
    body: Any,
    path: str,
    rows: list[Any],
    key: tuple[str, ...],
    format: str,
) -> list[Evidence] | None:
    """Evidence from page 2, or None if this is not how pages follow. Raises what asking for page 2 raises."""
    try:
        following = candidate.next(Seen(candidate.first(request), response, body, 1, len(rows), len(rows))).request
    except KeyturnError as error:
        return [Evidence("pagination", error.message, doubt=True)]
    if following is None:
        return [Evidence("pagination", "Page 1 is also the last page now, so page 2 could not be compared.")]
    second = rows_at(parse_body(await reader.fetch(following), format), path)
    if not second:
        return [Evidence("pagination", "Page 2 is empty: page 1 holds everything now.")]
    names = {_named(row, key) for row in rows}
    repeated = sum(_named(row, key) in names for row in second)
    if repeated == len(second):
        return None
    what = "ids repeat" if key else "rows repeat"
    found = [Evidence("pagination", f"Page 2 differs: {repeated} of {len(second)} {what}")]
    if isinstance(candidate, NextUrlPagination | LinkHeaderPagination):
        found.append(Evidence("pagination", "Same host, so the token may go along"))
    return found


def _named(row: Any, key: tuple[str, ...]) -> str:
    return str(to_json([at_name(row, name) for name in key] if key and isinstance(row, Mapping) else row))


def at_name(row: Mapping[str, Any], name: str) -> Any:
    """A field by its column's name: `customer.id` lies in the object `customer`."""
    value: Any = row
    for part in [name] if name in row else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _doubts_of_key(rows: list[Any], key: tuple[str, ...]) -> list[Evidence]:
    """What speaks against a key that somebody chose."""
    if not key or not rows:
        return []
    named = Counter(_named(row, key) for row in rows)
    shared = sum(count for count in named.values() if count > 1)
    words = " and ".join(key)
    if shared:
        return [Evidence("primary_key", f"{shared:,} of {len(rows):,} sampled rows share a {words}.", doubt=True)]
    return [Evidence("primary_key", f"{len(rows):,} of {len(rows):,} sampled rows have their own {words}")]


def _candidates(
    request: Request, response: Response, body: Any, path: str, count: int, total_path: str | None
) -> Iterator[tuple[Pagination, str]]:
    """Ways in which pages might follow, most telling first."""
    fields = [(p, n, v) for p, n, v in _scalars(body) if not _inside(p, path)]
    if link_of(response, "next") is not None:
        yield LinkHeaderPagination(), "The Link header names the next page"
    for where, name, value in fields:
        if name in _NEXT_URL and isinstance(value, str) and value.startswith(("http://", "https://", "/", "?")):
            if name == "href" and ".next." not in f"{where}.":
                continue
            yield NextUrlPagination(next_url_path=where), "Page 1 holds a full link to page 2"
    more = next((where for where, name, value in fields if name in _MORE and isinstance(value, bool)), None)
    for where, name, value in fields:
        if name in _CURSOR and isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            yield (
                CursorPagination(cursor_path=where, cursor_param=_CURSOR[name], has_more_path=more),
                f"Page 1 holds a cursor at {where}",
            )
    yield from _numbered(request, fields, count, total_path)


def _numbered(
    request: Request, fields: list[tuple[str, str, Any]], count: int, total_path: str | None
) -> Iterator[tuple[Pagination, str]]:
    numbers = {n: (p, v) for p, n, v in fields if isinstance(v, int) and not isinstance(v, bool)}
    pages = next((numbers[n][0] for n in numbers if n in _TOTAL_PAGES), None)
    page_name = next((n for n in numbers if n in _PAGE), None)
    size_param = next((s for s in _SIZES if query_integer(request, s) or s.lower() in numbers), None)
    size = numbers.get((size_param or "").lower(), (None, None))[1] or (
        size_param and query_integer(request, size_param)
    )
    if page_name is not None or pages is not None:
        start = numbers[page_name][1] if page_name and numbers[page_name][1] in {0, 1} else 1
        yield (
            PageNumberPagination(
                page_param=_PAGE.get(page_name or "page", "page"),
                size_param=size_param if size else None,
                size=size or None,
                start=start,
                total_pages_path=pages,
            ),
            "Page 1 says which page it is" if page_name else "Page 1 says how many pages there are",
        )
    offset = next((n for n in _OFFSET if n in numbers), None)
    if offset is not None or (total_path is not None and page_name is None and pages is None and count):
        size = next((n for n in _LIMIT if n in numbers), "limit")
        limit_param = _LIMIT[size]
        yield (
            OffsetPagination(
                offset_param=_OFFSET[offset or "offset"],
                limit_param=limit_param,
                limit=numbers.get(size, (None, None))[1] or query_integer(request, limit_param) or count,
                # An answer that calls its first row 1 counts from there.
                start=1 if offset is not None and numbers[offset][1] == 1 else 0,
                total_path=total_path,
            ),
            "Page 1 says from which row it counts" if offset else "The total is larger than page 1",
        )


def _rows_path(body: Any, evidence: list[Evidence]) -> str:
    if isinstance(body, list):
        evidence.append(Evidence("rows_path", f"The answer itself is the list: {_size(body)}"))
        return "$"
    lists = [(path, value) for path, value in _lists(body) if value and all(isinstance(v, Mapping) for v in value)]
    lists = lists or [(path, value) for path, value in _lists(body)]
    if not lists:
        evidence.append(Evidence("rows_path", "There is no list in the answer, so it is read as one row", doubt=True))
        return "$"
    path, value = max(lists, key=lambda found: (len(found[1]), -found[0].count(".")))
    only = "The only list that repeats" if len(lists) == 1 else "The longest list"
    evidence.append(Evidence("rows_path", f"{only}: {_size(value)}"))
    return path


def records_in(body: Any) -> int | None:
    """How many records an answer holds: those of its longest list of objects, else of its longest list."""
    if isinstance(body, list):
        return len(body)
    lists = [found for _, found in _lists(body)]
    of_objects = [found for found in lists if found and isinstance(found[0], dict)]
    return max(map(len, of_objects or lists), default=None)


def lists_in(body: Any) -> list[tuple[str, int]]:
    """The lists of an answer with their sizes: where its rows might be."""
    return [("$", len(body))] if isinstance(body, list) else [(path, len(value)) for path, value in _lists(body)]


def _size(rows: list[Any]) -> str:
    first = next((row for row in rows if isinstance(row, Mapping)), None)
    fields = f", {len(first)} fields each" if first is not None else ""
    return f"{len(rows):,} row{'s' if len(rows) != 1 else ''}{fields}"


def _primary_key(rows: list[Any], evidence: list[Evidence]) -> tuple[str, ...]:
    for name in _KEYS:
        values = [row.get(name) for row in rows if isinstance(row, Mapping)]
        usable = [value for value in values if isinstance(value, str | int)]
        if rows and len(usable) == len(rows) and len(set(usable)) == len(usable):
            evidence.append(
                Evidence("primary_key", f"{len(rows):,} of {len(rows):,} sampled rows have their own {name}")
            )
            return (name,)
    return ()


def _total(body: Any, count: int) -> tuple[str | None, int | None]:
    for path, name, value in _scalars(body):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if name in _TOTAL and whole and (value > count or (value == count and name != "count")):
            return path, value
    return None, None


def _no_paging(count: int, total: int | None) -> Evidence:
    if total is not None and total > count:
        return Evidence("pagination", f"No paging was found, though the API reports {total:,} rows", doubt=True)
    if count in USUAL_SIZES:
        return Evidence(
            "pagination", f"We got exactly {count:,} rows and no paging is set, so there are probably more", doubt=True
        )
    return Evidence("pagination", "Nothing leads to a second page")


def _scalars(body: Any) -> Iterator[tuple[str, str, Any]]:
    """(path, lower-case name, value) of single values in objects, three deep, outside lists."""
    yield from _walk(body, "$", 0)


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, Mapping) or depth > 3:
        return
    for key, inner in value.items():
        here = _child(path, str(key))
        if isinstance(inner, Mapping):
            yield from _walk(inner, here, depth + 1)
        elif not isinstance(inner, list):
            yield here, str(key).lower(), inner


def _lists(value: Any, path: str = "$", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    if not isinstance(value, Mapping) or depth > 3:
        return
    for key, inner in value.items():
        here = _child(path, str(key))
        if isinstance(inner, list):
            yield here, inner
        else:
            yield from _lists(inner, here, depth + 1)


def _child(path: str, key: str) -> str:
    plain = key.replace("_", "a").replace("-", "a").isalnum() and not key[0].isdigit() and key.isascii()
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path}.{key}" if plain else f"{path}['{escaped}']"


def _inside(path: str, rows_path: str) -> bool:
    return rows_path != "$" and path.startswith((rows_path + ".", rows_path + "["))
