"""The compiled core: where a page's rows are, and the rows as Arrow arrays, without holding Python up. See `core.c`.

It is built when Keyturn is installed on a machine with a C compiler. Without it everything is the same, and slower.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

_FIT, _NO_MEMORY = 0, 2
# The sizes of ArrowSchema and ArrowArray, https://arrow.apache.org/docs/format/CDataInterface.html
_SCHEMA_BYTES, _ARRAY_BYTES = 72, 80


# So many bytes are searched sooner than a thread begins, or than Python's lock comes back that is given away for it.
SHORT_BYTES = 1 << 20


def _loaded(way: type[ctypes.CDLL]) -> ctypes.CDLL | None:
    path = Path(__file__).with_name("core.native")
    try:
        library = way(str(path))
    except OSError:
        return None
    library.kt_read.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    ]  # fmt: skip
    library.kt_read.restype = ctypes.c_int
    library.kt_list.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    library.kt_list.restype = ctypes.c_int
    return library


_library = _loaded(ctypes.CDLL)
_locked_library = _loaded(ctypes.PyDLL)


def is_there() -> bool:
    """Whether it was built."""
    return _library is not None


@lru_cache(maxsize=256)
def _as_c(keys: tuple[str, ...]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(keys))(*(key.encode() for key in keys))


def list_at(body: bytes, keys: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Where the list that the keys lead to begins and ends in a JSON text, and how many values it has.

    None where there is none, or where it cannot be said for sure. What is in its values was not looked at.
    """
    if _library is None or _locked_library is None:
        return None
    library = _locked_library if len(body) < SHORT_BYTES else _library
    found = (ctypes.c_int64 * 3)()
    told = library.kt_list(body, len(body), _as_c(keys), len(keys), found)
    return (found[0], found[1], found[2]) if told == _FIT else None


class Rows(NamedTuple):
    """What was read. `wide`: a number is 2^53 or more, or its opposite, which a double may not tell from the next."""

    array: pa.StructArray | pa.RecordBatch
    wide: bool


class RowReader:
    """Reads JSON lists of objects as one type of row.

    It is made of null, bool, int64, double, timestamp[us, UTC], string, and lists and structs of these. Where no number
    is wide they come as a batch of `batch`, a schema of the same types in the same order, if one is given: each way
    into Arrow and back is a wait for Python's lock.
    """

    def __init__(self, rows: pa.StructType, batch: pa.Schema | None = None) -> None:
        self._type, self._batch = rows, batch
        self._schema: ctypes.Array[ctypes.c_char] | None = None
        if _library is not None and _has_plain_names(rows):
            self._schema = ctypes.create_string_buffer(_SCHEMA_BYTES)
            rows._export_to_c(ctypes.addressof(self._schema))  # noqa: SLF001 - how Arrow's C interface is called
            weakref.finalize(self, _released, self._schema)

    def read(self, raw: bytes) -> Rows | None:
        """The rows, or None where they are not exactly of the type. Raises MemoryError."""
        if _library is None or self._schema is None:
            return None
        array, wide = ctypes.create_string_buffer(_ARRAY_BYTES), ctypes.c_int()
        told = _library.kt_read(raw, len(raw), self._schema, array, wide)
        if told == _NO_MEMORY:
            raise MemoryError
        if told != _FIT:
            return None
        import pyarrow as pa

        place = ctypes.addressof(array)
        if self._batch is not None and not wide:
            return Rows(pa.RecordBatch._import_from_c(place, self._batch), wide=False)  # noqa: SLF001
        return Rows(pa.Array._import_from_c(place, self._type), bool(wide))  # noqa: SLF001


def _has_plain_names(kind: pa.DataType) -> bool:
    """Whether each name is one for C, which ends at a byte 0."""
    fields = [kind.field(place) for place in range(kind.num_fields)]
    return all("\0" not in item.name and _has_plain_names(item.type) for item in fields)


def _released(schema: ctypes.Array[ctypes.c_char]) -> None:
    """Taking it back is how the other side frees it."""
    import pyarrow as pa

    pa.DataType._import_from_c(ctypes.addressof(schema))  # noqa: SLF001
