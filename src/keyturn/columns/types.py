"""Column types as words (`int64`, `decimal(18,2)`, `list<struct<sku:string>>`) and as Arrow types. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

_SIMPLE: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_DEPTH_MOST = 20
JSON_METADATA = {b"type": b"json"}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type: its word, and for lists the element, for structs the fields, for decimals precision and scale."""

    word: str
    element: ColumnType | None = None
    fields: tuple[tuple[str, ColumnType], ...] = ()
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.word == "list":
            return f"list<{self.element}>"
        if self.word == "struct":
            return "struct<" + ",".join(f"{_quoted(name)}:{kind}" for name, kind in self.fields) + ">"
        if self.word == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return self.word

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type; `json` is text that holds JSON."""
        if self.word == "list":
            return pa.list_((self.element or STRING).field("item"))
        if self.word == "struct":
            return pa.struct([kind.field(name) for name, kind in self.fields])
        if self.word == "decimal":
            return pa.decimal128(self.precision, self.scale)
        return _SIMPLE[self.word]

    def field(self, name: str) -> pa.Field:
        """The Arrow field of that name; its metadata tells `json` from other text."""
        return pa.field(name, self.arrow, metadata=JSON_METADATA if self.word == "json" else None)


STRING = ColumnType("string")
JSON = ColumnType("json")


def kind_of(field: pa.Field) -> ColumnType | None:
    """The type that holds every value of an Arrow field, of others' files too; None where there is none."""
    kind = field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return JSON if is_json(field) else STRING
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = kind_of(kind.value_field)
        return None if element is None else ColumnType("list", element=element)
    if pa.types.is_struct(kind):
        inner = [(item.name, kind_of(item)) for item in kind]
        fields = tuple((name, known) for name, known in inner if known is not None)
        return ColumnType("struct", fields=fields) if len(fields) == len(inner) else None
    if pa.types.is_decimal128(kind) and kind.scale >= 0:
        return ColumnType("decimal", precision=kind.precision, scale=kind.scale)
    if pa.types.is_timestamp(kind):
        return ColumnType("timestamp") if kind.tz is not None and kind.unit != "ns" else None
    if pa.types.is_integer(kind):
        return None if kind == pa.uint64() else ColumnType("int64")
    if pa.types.is_floating(kind):
        return ColumnType("float64")
    return {pa.bool_(): ColumnType("bool"), pa.date32(): ColumnType("date")}.get(kind)


def is_json(field: pa.Field) -> bool:
    """Whether the text of a field is JSON."""
    (name, word), metadata = next(iter(JSON_METADATA.items())), field.metadata or {}
    return metadata.get(name) == word


def parse_type(text: str) -> ColumnType:
    """Read a type's words. Raises ValueError with a sentence that names what can be written."""
    found, rest = _parse(text.strip(), 0)
    if rest.strip():
        raise _unknown(text)
    return found


def _parse(text: str, depth: int) -> tuple[ColumnType, str]:
    if depth > _DEPTH_MOST:
        raise ValueError("Types may be nested 20 deep at most.")
    text = text.lstrip()
    if text.startswith("list<"):
        element, rest = _parse(text[5:], depth + 1)
        return ColumnType("list", element=element), _expect(rest, ">", text)
    if text.startswith("struct<"):
        return _parse_struct(text, depth)
    if match := _DECIMAL.match(text):
        precision, scale = int(match[1]), int(match[2])
        if not (1 <= precision <= 38 and scale <= precision):
            raise ValueError("A decimal has 1 to 38 digits, and no more after the point than in all.")
        return ColumnType("decimal", precision=precision, scale=scale), text[match.end() :]
    for word in _SIMPLE:
        if re.match(rf"{word}\b", text):
            return ColumnType(word), text[len(word) :]
    raise _unknown(text)


def _parse_struct(text: str, depth: int) -> tuple[ColumnType, str]:
    fields: list[tuple[str, ColumnType]] = []
    rest = text[7:].lstrip()
    while not rest.startswith(">"):
        match = re.match(r'"((?:[^"\\]|\\.)*)"|([^:<>,"]+)', rest)
        if match is None:
            raise _unknown(text)
        name = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2].strip()
        kind, rest = _parse(_expect(rest[match.end() :], ":", text), depth + 1)
        fields.append((name, kind))
        rest = rest.lstrip()
        if rest.startswith(","):
            rest = rest[1:].lstrip()
        elif not rest.startswith(">"):
            raise _unknown(text)
    return ColumnType("struct", fields=tuple(fields)), rest[1:]


def _expect(rest: str, mark: str, text: str) -> str:
    rest = rest.lstrip()
    if not rest.startswith(mark):
        raise _unknown(text)
    return rest[1:]


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_$.-]+", name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unknown(text: str) -> ValueError:
    return ValueError(
        f"{text[:60]!r} is not a type. Types are {', '.join(_SIMPLE)}, decimal(p,s), list<…> and struct<name:…>."
    )
