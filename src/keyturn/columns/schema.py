"""A schema: columns with names, types and where they come from; inferred from rows, widened by rows that do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from keyturn.columns.infer import UNSEEN, join, note_of, public, type_of
from keyturn.columns.types import JSON, STRING, ColumnType, parse_type

PINNED = "pinned"
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One typed field. `source_path` is a JSONPath from the row (RFC 9535), for example `$.customer.name`."""

    name: str
    type: str
    source_path: str
    nullable: bool = True
    note: str | None = None

    @property
    def kind(self) -> ColumnType:
        """Its type, parsed."""
        return parse_type(self.type)

    @property
    def path(self) -> Path:
        """Its keys from the row inwards."""
        return path_of(self.source_path)

    @property
    def pinned(self) -> bool:
        """Whether a person chose the type."""
        return self.note is not None and self.note.startswith(PINNED)


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in order. Equal schemas have equal Arrow schemas."""

    columns: tuple[Column, ...]
    _arrow: list[pa.Schema] = field(default_factory=list, compare=False, repr=False)

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema."""
        if not self._arrow:
            self._arrow.append(pa.schema([pa.field(c.name, c.kind.arrow) for c in self.columns]))
        return self._arrow[0]


@dataclass(slots=True)
class _Leaf:
    kind: ColumnType = UNSEEN
    seen: set[str] = field(default_factory=set)


def infer(rows: Sequence[Any], *, pins: Mapping[str, str] | None = None, infer_types: bool = True) -> Schema:
    """The schema of rows. Objects become dotted columns; `pins` fixes types by column name; else text for all."""
    leaves = _collected(rows, frozenset())
    # Where some rows have an object and others a value, one JSON column holds both.
    mixed = frozenset(
        path
        for path, leaf in leaves.items()
        if leaf.kind.word != "unseen" and any(len(p) > len(path) and p[: len(path)] == path for p in leaves)
    )
    if mixed:
        leaves = _settled(_collected(rows, mixed))
    columns: list[Column] = []
    for path, leaf in leaves.items():
        name = _free_name(path, {column.name for column in columns})
        if infer_types:
            kind, note = public(leaf.kind), note_of(leaf.kind, frozenset(leaf.seen))
        else:
            nested = leaf.kind.word in {"list", "struct", "json"}
            kind, note = (JSON if nested else STRING), None
        pin = (pins or {}).get(name)
        columns.append(Column(name, pin or str(kind), source_of(path), note=PINNED if pin is not None else note))
    return Schema(tuple(columns))


def widen(schema: Schema, rows: Sequence[Any]) -> Schema:
    """The schema that also holds `rows`; the same object if it does already. Columns only get wider or more."""
    known = {column.path: column for column in schema.columns}
    leaves = _collected(rows, frozenset(known))
    columns = list(schema.columns)
    for path, leaf in leaves.items():
        column = known.get(path)
        if column is None:
            if leaf.kind.word == "unseen" and any(other[: len(path)] == path for other in known):
                continue  # an object that is null: its columns are null
            name = _free_name(path, {c.name for c in columns})
            note = note_of(leaf.kind, frozenset(leaf.seen))
            columns.append(Column(name, str(public(leaf.kind)), source_of(path), note=note))
            continue
        wider = _widened(column, leaf, rows)
        if wider != column:
            columns[columns.index(column)] = wider
    return schema if tuple(columns) == schema.columns else Schema(tuple(columns))


def _widened(column: Column, leaf: _Leaf, rows: Sequence[Any]) -> Column:
    from keyturn.columns.build import fits

    values = [value_at(row, column.path) for row in rows]
    if all(fits(value, column.kind, lenient=column.pinned) for value in values):
        return column
    if column.pinned:
        return replace(column, type="string", note=f"{PINNED} as {column.type}, but some values did not fit: text")
    if column.note == "not seen yet":
        return replace(column, type=str(public(leaf.kind)), note=note_of(leaf.kind, frozenset(leaf.seen)))
    kind = join(column.kind, leaf.kind)
    note = note_of(kind, frozenset(leaf.seen | {column.kind.word})) or column.note
    return replace(column, type=str(public(kind)), note=note)


def _collected(rows: Iterable[Any], stops: frozenset[Path]) -> dict[Path, _Leaf]:
    """Every leaf path of the rows with its joined type. A path in `stops` is a leaf whatever it holds."""
    leaves: dict[Path, _Leaf] = {}
    for row in rows:
        for path, value in leaves_of(row, stops):
            leaf = leaves.setdefault(path, _Leaf())
            kind = type_of(value)
            leaf.seen.add(kind.word)
            leaf.kind = join(leaf.kind, kind)
    return leaves if stops else _settled(leaves)


def _settled(leaves: dict[Path, _Leaf]) -> dict[Path, _Leaf]:
    """Drop null leaves that are objects in other rows: their columns stand for them."""
    return {
        path: leaf
        for path, leaf in leaves.items()
        if leaf.kind.word != "unseen" or not any(len(p) > len(path) and p[: len(path)] == path for p in leaves)
    }


def leaves_of(row: Any, stops: frozenset[Path]) -> list[tuple[Path, Any]]:
    """(path, value) of each field; objects with fields are entered, all else is a leaf."""
    if not isinstance(row, Mapping):
        return [(("value",), row)]
    found: list[tuple[Path, Any]] = []
    _enter(row, (), stops, found)
    return found


def _enter(value: Mapping[str, Any], path: Path, stops: frozenset[Path], found: list[tuple[Path, Any]]) -> None:
    for key, inner in value.items():
        here = (*path, str(key))
        if isinstance(inner, Mapping) and inner and here not in stops and len(here) < 20:
            _enter(inner, here, stops, found)
        else:
            found.append((here, inner))


def value_at(row: Any, path: Path) -> Any:
    """The value of a path in a row; None where an object on the way is missing, null or no object."""
    if not isinstance(row, Mapping):
        return row if path == ("value",) else None
    value: Any = row
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def source_of(path: Path) -> str:
    """Keys as a JSONPath."""
    plain = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    parts = []
    for key in path:
        escaped = key.replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f".{key}" if plain.fullmatch(key) else f"['{escaped}']")
    return "$" + "".join(parts)


def path_of(source: str) -> Path:
    """The keys of a JSONPath that `source_of` wrote."""
    found = re.findall(r"\.([A-Za-z_][A-Za-z0-9_]*)|\['((?:[^'\\]|\\.)*)'\]", source)
    return tuple(plain or re.sub(r"\\(.)", r"\1", quoted) for plain, quoted in found)


def _free_name(path: Path, taken: set[str]) -> str:
    name = ".".join(path)
    number = 2
    free = name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free
