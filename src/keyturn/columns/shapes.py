"""Rows in another shape before they are typed: as documents, as tables of their own for lists, or a row per list item.

`flattened` with lists as they are is what typing does by itself; everything else is made of it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keyturn.columns.infer import Nested
from keyturn.columns.schema import Path, path_of

MAIN = ""
_DEPTH_MOST = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become columns. `table` names the parent in the child tables' key columns; `key` are its columns."""

    data_model: str = "flattened"
    arrays: str = "list"
    array_items: int = 3
    expand: str | None = None
    table: str = "parent"
    key: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether rows are typed as they come."""
        return self.data_model == "flattened" and self.arrays == "list" and self.expand is None


@dataclass(frozen=True, slots=True)
class Shaped:
    """Rows to be typed, as a page of their own."""

    rows: list[Any]
    raw: bytes | None = None

    @property
    def count(self) -> int:
        """How many."""
        return len(self.rows)


@dataclass(slots=True)
class Shaper:
    """Shapes the pages of one read, in order. `rows_before` numbers the rows that have no key."""

    shape: Shape
    rows_before: int = 0
    _names: dict[Path, str] = field(default_factory=dict)

    def add(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        """The rows of each part: `MAIN`, and with the relational model a child for each list of objects."""
        if self.shape.expand is not None:
            rows = [item for row in rows for item in expanded(row, path_of(_inner(self.shape.expand)))]
        parts: dict[str, list[Any]] = {MAIN: []}
        if self.shape.data_model == "relational":
            for number, row in enumerate(rows, self.rows_before + 1):
                self._take_apart(row, number, parts)
        else:
            parts[MAIN] = list(rows)
        self.rows_before += len(rows)
        document = self.shape.data_model == "document"
        return {name: [self._packed(row, document=document) for row in found] for name, found in parts.items()}

    def _take_apart(self, row: Any, number: int, parts: dict[str, list[Any]]) -> None:
        if not isinstance(row, Mapping):
            parts[MAIN].append({"_id": str(number), "value": row})
            return
        key = [row.get(name) for name in self.shape.key]
        row_id = "/".join(map(str, key)) if key and None not in key else str(number)
        rest = self._without_lists(row, (), row_id, self.shape.table, parts, 0)
        parts[MAIN].append({"_id": row_id, **_apart(rest, {"_id"})})

    def _without_lists(
        self, row: Mapping[str, Any], path: Path, row_id: str, parent: str, parts: dict[str, list[Any]], depth: int
    ) -> dict[str, Any]:
        """The object without its lists of objects, which go to parts of their own."""
        rest: dict[str, Any] = {}
        for key, value in row.items():
            here = (*path, str(key))
            if isinstance(value, Mapping) and depth < _DEPTH_MOST:
                rest[key] = self._without_lists(value, here, row_id, parent, parts, depth + 1)
            elif _is_list_of_objects(value) and depth < _DEPTH_MOST:
                self._add_children(value, here, row_id, parent, parts, depth + 1)
            elif value != [] or here not in self._names:
                rest[key] = value
        return rest

    def _add_children(
        self, items: list[Any], path: Path, row_id: str, parent: str, parts: dict[str, list[Any]], depth: int
    ) -> None:
        name = self._name_of(path)
        child, reference = f"{self.shape.table}_{name.replace('.', '_')}", f"{parent}_id"
        for place, item in enumerate(items, 1):
            item_id = f"{row_id}/{place}"
            fields = item if isinstance(item, Mapping) else {}
            rest = self._without_lists(fields, path, item_id, child, parts, depth)
            own = {"_id": item_id, reference: row_id}
            parts.setdefault(name, []).append({**own, **_apart(rest, set(own))})

    def _name_of(self, path: Path) -> str:
        if path not in self._names:
            name, number = ".".join(path), 2
            while name in self._names.values():
                name, number = f"{'.'.join(path)}_{number}", number + 1
            self._names[path] = name
        return self._names[path]

    def _packed(self, row: Any, *, document: bool) -> Any:
        if not isinstance(row, Mapping):
            return row
        if document:
            return {k: Nested(v) if isinstance(v, list | Mapping) else v for k, v in row.items()}
        return self._lists_packed(row, 0) if self.shape.arrays != "list" else row

    def _lists_packed(self, row: Mapping[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        firsts: dict[str, Any] = {}
        for key, value in row.items():
            if isinstance(value, Mapping) and depth < _DEPTH_MOST:
                found[key] = self._lists_packed(value, depth + 1)
            elif isinstance(value, list):
                found[key] = Nested(value)
                if self.shape.arrays == "columns":
                    firsts |= {f"{key}.{n}": _inside(item) for n, item in enumerate(value[: self.shape.array_items])}
            else:
                found[key] = value
        return {**found, **_apart(firsts, set(found))}


def expanded(row: Any, path: Path) -> list[Any]:
    """A row for each item of its list at the path, which the item takes the place of; the row itself if it has none."""
    if not isinstance(row, Mapping) or path[0] not in row:
        return [row]
    key, rest, value = path[0], path[1:], row[path[0]]
    if rest:
        return [{**row, key: inner} for inner in expanded(value, rest)]
    if not isinstance(value, list):
        return [row]
    return [{**row, key: item} for item in value or [None]]


def _is_list_of_objects(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, Mapping) or v is None for v in value)
        and any(value)
    )


def _apart(row: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """The fields under names that are not taken: an API's own `_id` becomes `_id_2`."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        name, number = key, 2
        while name in taken or name in found or (name != key and name in row):
            name, number = f"{key}_{number}", number + 1
        found[name] = value
    return found


def _inside(value: Any) -> Any:
    return Nested(value) if isinstance(value, list | Mapping) else value


def _inner(path: str) -> str:
    return path if path.startswith("$") else "$." + path
