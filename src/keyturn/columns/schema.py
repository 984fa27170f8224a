"""A schema: columns with names, types and where they come from; inferred from rows, widened by rows that do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from keyturn.columns.infer import (
    NOTE_LATE,
    NOTE_UNSEEN,
    NOTE_WIDE,
    UNSEEN,
    UNSEEN_LIST,
    join,
    narrow,
    note_of,
    public,
    type_of,
)
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
    def holds(self) -> ColumnType:
        """What its values may be: narrower than the type says, so that it is known what it may join later."""
        if self.pinned:
            return self.kind
        if self.note == NOTE_UNSEEN:
            return UNSEEN_LIST if self.kind.word == "list" else UNSEEN
        return self.kind if self.note == NOTE_WIDE else narrow(self.kind)

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
            self._arrow.append(pa.schema([c.kind.field(c.name) for c in self.columns]))
        return self._arrow[0]

    def only(self, names: Sequence[str]) -> Schema:
        """Some of its columns, in the order asked for. Raises `KeyError` naming one that is not here."""
        known = {column.name: column for column in self.columns}
        return Schema(tuple(known[name] for name in names))

    @property
    def stops(self) -> frozenset[Path]:
        """The paths whose values are not entered, objects included: of columns that had a value."""
        return frozenset(c.path for c in self.columns if c.note != NOTE_UNSEEN or c.kind.word == "list")


@dataclass(slots=True)
class _Leaf:
    kind: ColumnType = UNSEEN
    seen: set[str] = field(default_factory=set)


def infer(rows: Sequence[Any], *, pins: Mapping[str, str] | None = None, infer_types: bool = True) -> Schema:
    """The schema of rows. Objects become dotted columns; `pins` fixes types by column name; else text for all."""
    return widen(Schema(()), rows, pins=pins, infer_types=infer_types)


def widen(
    schema: Schema, rows: Sequence[Any], *, pins: Mapping[str, str] | None = None, infer_types: bool = True
) -> Schema:
    """The schema that also holds `rows`; the same object if it does already. Columns only get wider or more.

    Only a column without any value yet may go, when its values turn out to be objects with columns of their own.
    New columns follow `pins` and `infer_types` as in `infer`.
    """
    leaves = _collected(rows, schema)
    inner = {path[:end] for path in leaves for end in range(1, len(path))}
    columns: list[Column] = []
    for column in schema.columns:
        leaf = leaves.pop(column.path, None) or _hidden(rows, column.path)
        if leaf is not None:
            columns.append(_widened(column, leaf, rows))
        elif not (column.note == NOTE_UNSEEN and column.path in inner):
            columns.append(column)
    taken = {column.name for column in columns}
    for path, leaf in leaves.items():
        name = _free_name(path, taken)
        taken.add(name)
        columns.append(_new_column(name, path, leaf, rows, pin=(pins or {}).get(name), infer_types=infer_types))
    return schema if tuple(columns) == schema.columns else Schema(tuple(columns))


def _new_column(
    name: str, path: Path, leaf: _Leaf, rows: Sequence[Any], *, pin: str | None, infer_types: bool
) -> Column:
    source = source_of(path)
    if pin is not None:
        return _widened(Column(name, pin, source, note=PINNED), leaf, rows)
    if infer_types:
        return Column(name, str(public(leaf.kind)), source, note=note_of(leaf.kind, frozenset(leaf.seen)))
    nested = leaf.kind.word in {"list", "struct", "json"}
    return Column(name, str(JSON if nested else STRING), source)


def _widened(column: Column, leaf: _Leaf, rows: Sequence[Any]) -> Column:
    from keyturn.columns.build import fits

    if column.pinned:
        return column  # a value that does not fit a pinned type is rejected, and the type stays
    values = [value_at(row, column.path) for row in rows]
    if all(fits(value, column.holds) for value in values):
        return column
    kind = join(column.holds, leaf.kind)
    if column.note == NOTE_UNSEEN and str(public(kind)) != column.type and _is_plain(kind, column.kind):
        # Its column is out in the world as text already: text holds these values too.
        return replace(column, note=NOTE_LATE)
    note = note_of(kind, frozenset(leaf.seen | {column.holds.word}))
    kept = column.note if column.note not in {NOTE_UNSEEN, NOTE_WIDE} else None
    return replace(column, type=str(public(kind)), note=note or kept)


def _hidden(rows: Iterable[Any], path: Path) -> _Leaf | None:
    """The type at a path that is not entered any more, since above it is a column that holds the whole object."""
    leaf: _Leaf | None = None
    for row in rows:
        value = value_at(row, path)
        if value is not None:
            leaf = leaf or _Leaf()
            kind = type_of(value)
            leaf.seen.add(kind.word)
            leaf.kind = join(leaf.kind, kind)
    return leaf


def _is_plain(kind: ColumnType, shown: ColumnType) -> bool:
    """Whether values of a type are single values that text holds; or lists of them, where the column has lists."""
    if kind.word == "list" and shown.word == "list" and kind.element is not None:
        kind = kind.element
    return kind.word not in {"list", "struct", "json"}


def _collected(rows: Iterable[Any], schema: Schema) -> dict[Path, _Leaf]:
    """Every leaf path of the rows with its joined type. A column's path is a leaf whatever it holds.

    Where some rows have an object and others a value, the path is a leaf of type `json`, which holds both.
    """
    known = frozenset(column.path for column in schema.columns)
    stops = schema.stops
    leaves = _leaves(rows, stops)
    inner = {path[:end] for path in (*leaves, *known) for end in range(1, len(path))}
    mixed = frozenset(path for path, leaf in leaves.items() if path in inner - stops and not _is_hollow(leaf.kind))
    if mixed:
        leaves = _leaves(rows, stops | mixed)
        for path in mixed & leaves.keys():  # what lies in another mixed one is part of it
            leaves[path].kind = join(leaves[path].kind, JSON)
    return {path: leaf for path, leaf in leaves.items() if path not in inner - stops or not _is_hollow(leaf.kind)}


def _is_hollow(kind: ColumnType) -> bool:
    """Null, or an object without fields: the columns of the fields that other rows have stand for it."""
    return kind.word == "unseen" or (kind.word == "struct" and not kind.fields)


def _leaves(rows: Iterable[Any], stops: frozenset[Path]) -> dict[Path, _Leaf]:
    leaves: dict[Path, _Leaf] = {}
    for row in rows:
        for path, value in leaves_of(row, stops):
            leaf = leaves.setdefault(path, _Leaf())
            kind = type_of(value)
            leaf.seen.add(kind.word)
            leaf.kind = join(leaf.kind, kind)
    return leaves


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
