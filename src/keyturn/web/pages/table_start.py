"""Starting a table from what a person has at hand: an address, a cURL line, an OpenAPI or Postman document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from keyturn.errors import Invalid
from keyturn.model.connections import Connection
from keyturn.model.tables import TableSettings
from keyturn.model.validation import parse
from keyturn.services import connections, table_drafts
from keyturn.web.auth import Visit
from keyturn.web.pages import table_form


def is_address(text: str) -> bool:
    """Whether the path field holds more than a path: a whole URL, or a path with its query."""
    return text.strip().startswith(("http://", "https://")) or (text.strip().startswith("/") and "?" in text)


async def with_address(visit: Visit, sent: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The form with the typed URL taken apart: its connection, path and parameters; and what was left out."""
    address = sent["path"].strip()
    found = await connections.list_(visit.ctx)
    chosen = sent.get("connection_id", "")
    if not address.startswith("/"):
        chosen = _connection_of(found, address, chosen)
    drafts = await table_drafts.drafts(visit.ctx, {"connection_id": chosen, "source": address})
    [draft] = drafts.drafts
    typed = [line for line in sent.get("query", "").splitlines() if line.strip()]
    names = {line.partition("=")[0].strip() for line in typed}
    came = [f"{name}={value}" for name, value in draft.get("query", {}).items() if name not in names]
    values = {**sent, "connection_id": chosen, "path": draft["path"], "query": "\n".join([*typed, *came])}
    return values, drafts.left_out


async def from_source(
    visit: Visit, sent: Mapping[str, str], *, find: bool
) -> tuple[list[dict[str, Any]], list[str], str | None]:
    """The drafts in what was pasted, or with `find` in what the API says of itself; what was left out; its address.

    Raises `Invalid` at `source`.
    """
    source, chosen = sent.get("source", ""), sent.get("connection_id", "")
    if find:
        source = ""
    elif not source.strip():
        raise Invalid("Paste a cURL line, an OpenAPI 3 document or a Postman collection.", at="source")
    if is_address(source):
        chosen = _connection_of(await connections.list_(visit.ctx), source.strip(), chosen, at="source")
    found = await table_drafts.drafts(visit.ctx, {"connection_id": chosen, "source": source})
    if not found.drafts:
        raise Invalid(" ".join(["Nothing here can be read as a table.", *found.left_out[:3]]), at="source")
    return [{**draft, "connection_id": chosen} for draft in found.drafts], found.left_out, found.found_at


def values_of(draft: Mapping[str, Any], source: str) -> dict[str, str]:
    """A draft as the form's values."""
    return {**table_form.values_of(parse(TableSettings, draft)), "source": source}


def _connection_of(found: list[Connection], address: str, chosen: str, *, at: str = "path") -> str:
    """The connection an address belongs to: the chosen one if it is under it, else that with the longest Base URL."""
    if address.startswith("/"):
        return chosen
    under = [item for item in found if _is_under(address, item.settings.base_url or "")]
    if any(item.id == chosen for item in under):
        return chosen
    if under:
        return max(under, key=lambda item: len(item.settings.base_url or "")).id
    host = urlsplit(address).hostname or address
    raise Invalid(f"No connection has a Base URL that {host} is under. Make a connection to it first.", at=at)


def _is_under(address: str, base: str) -> bool:
    return bool(base) and (address.rstrip("/") == base.rstrip("/") or address.startswith(base.rstrip("/") + "/"))
