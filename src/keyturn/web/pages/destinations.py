"""Destinations for Workspace Admins: databases and buckets that imports write to, made, changed, tested, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.destinations import ADDRESSING_LABELS, KINDS, DestinationSettings, SavedDestination
from keyturn.model.imports import ENDINGS
from keyturn.model.object_stores import SCHEMES, example_of, word_of
from keyturn.services import destinations
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/settings/destinations", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
_OWN = {"postgresql": ("name", "url", "schema"),
        "s3": ("name", "url", "endpoint", "region", "access_key_id", "addressing"),
        "gcs": ("name", "url", "endpoint"),
        "azure": ("name", "url", "account", "endpoint")}  # fmt: skip
FIELDS = ("password", *sorted({name for names in _OWN.values() for name in names}))
_ENDPOINTS = {
    "s3": "Left empty: Amazon’s own of the region. Else the server’s address, for example https://s3.example.com:9000",
    "gcs": "Left empty: https://storage.googleapis.com. Else the address that your network has for it.",
    "azure": "Left empty: https://ACCOUNT.blob.core.windows.net. Else where its blobs are in another cloud or network.",
}
_SEALED = "Sealed, and never shown."
_SECRETS = {
    "postgresql": forms.Label("Password", _SEALED),
    "s3": forms.Label("Secret access key", _SEALED),
    "gcs": forms.Label("Key file", f"The whole JSON of a key of a service account, as Google gives it. {_SEALED}"),
    "azure": forms.Label(
        "Account key or SAS token", f"A SAS token with Read, Create, Write, List and Delete will do. {_SEALED}"
    ),
}
_LEDES = {
    "postgresql": "A PostgreSQL database that members may import tables to.",
    "s3": "A bucket of Amazon S3, or of a server that speaks its protocol, that members may import to.",
    "gcs": "A bucket of Google Cloud Storage that members may import to, as a service account.",
    "azure": "A container of Azure Blob Storage that members may import to, with the account’s key or a SAS token.",
}


@router.get("/new")
async def new(visit: Admin, type: str = "postgresql") -> Response:
    """The form of a kind."""
    return await _page(visit, forms.Form({"schema": "public", "type": type}))


@router.post("/new")
async def create(request: Request, visit: FreshAdmin) -> Response:
    """Make it."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await destinations.create(visit.ctx, _raw(sent, sent.get("type", "postgresql")))
        return f"/admin/settings/destinations/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, forms.failed(error, _kept(sent), FIELDS), status=status)

    return await forms.attempt(do, again)


@router.get("/{destination_id}")
async def show(visit: Admin, destination_id: str, done: str = "") -> Response:
    """Its settings."""
    found = await destinations.get(visit.ctx, destination_id)
    sentence = {"created": "Saved. Test it before the first import.", "saved": "Saved."}.get(done)
    return await _page(visit, _form(found), found=found, sentence=sentence)


@router.post("/{destination_id}")
async def update(request: Request, visit: FreshAdmin, destination_id: str) -> Response:
    """Change it; a password that is left empty stays."""
    sent = forms.typed(await request.form())
    found = await destinations.get(visit.ctx, destination_id)

    async def do() -> str:
        await destinations.update(visit.ctx, destination_id, _raw(sent, found.settings.type))
        return f"/admin/settings/destinations/{destination_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, forms.failed(error, _kept(sent), FIELDS), found=found, status=status)

    return await forms.attempt(do, again)


@router.post("/{destination_id}/test")
async def test(visit: Admin, destination_id: str) -> Response:
    """Connect to it, and say what came of it."""
    found = await destinations.get(visit.ctx, destination_id)
    try:
        _, sentence = await destinations.test(visit.ctx, destination_id)
    except forms.MENDABLE as error:
        return await _page(visit, _form(found), found=found, error=error.message, status=409)
    return await _page(visit, _form(found), found=found, sentence=sentence)


@router.post("/{destination_id}/delete")
async def delete(visit: FreshAdmin, destination_id: str) -> Response:
    """Delete it; what was written stays."""
    found = await destinations.get(visit.ctx, destination_id)

    async def do() -> str:
        await destinations.delete(visit.ctx, destination_id)
        return "/admin/settings?done=destination_deleted"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, _form(found), found=found, error=error.message, status=status)

    return await forms.attempt(do, again)


def _raw(sent: dict[str, str], kind: str) -> dict[str, Any]:
    raw: dict[str, Any] = {name: sent[name] for name in _OWN.get(kind, ()) if sent.get(name, "").strip()}
    # What was emptied is unset again; an old value must not stay.
    raw |= dict.fromkeys({"endpoint", "addressing"} & set(_OWN.get(kind, ())) - set(raw))
    if sent.get("password"):
        raw["password"] = sent["password"]
    return {"type": kind, **raw}


def _kept(sent: dict[str, str]) -> dict[str, str]:
    """What was typed, but no secret: neither the password nor a connection string that may hold one."""
    return {
        name: value
        for name, value in sent.items()
        if name != "password" and not ("@" in value and ":" in value.partition("//")[2].rpartition("@")[0])
    }


def _form(found: SavedDestination) -> forms.Form:
    return forms.Form(found.settings.model_dump(mode="json", by_alias=True))


async def _page(
    visit: Visit,
    form: forms.Form,
    *,
    found: SavedDestination | None = None,
    sentence: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    asked = str(form.value("type"))
    kind = found.settings.type if found else asked if asked in KINDS else "postgresql"
    return await rendering.shell(
        visit,
        "settings/destination.html",
        active="settings",
        status=status,
        found=found,
        form=form,
        kind=kind,
        kinds=KINDS,
        fields=_OWN[kind],
        lede=_LEDES[kind],
        addressing={"": "As usual there", **ADDRESSING_LABELS},
        labels=_labels(kind),
        sentence=sentence,
        error=error,
    )


def _labels(kind: str) -> dict[str, forms.Label]:
    labels = forms.labels(DestinationSettings)
    labels["schema"] = labels.pop("db_schema")
    labels["password"] = _SECRETS[kind]
    if kind in SCHEMES:
        example = f"Example: {example_of(kind)}. Objects are named in that folder."
        labels |= {"url": forms.Label(f"{word_of(kind).capitalize()} and folder", example),
                   "endpoint": forms.Label("Endpoint", _ENDPOINTS[kind])}  # fmt: skip
    return labels


async def choices(visit: Visit) -> dict[str, SavedDestination]:
    """The databases and buckets that somebody may import to, by id."""
    if not visit.ctx.may("destinations.list"):
        return {}
    return {found.id: found for found in await destinations.list_(visit.ctx)}


def words_of(found: SavedDestination) -> str:
    """A destination as a choice among others."""
    return f"{found.name} ({found.kind})"


async def typed(visit: Visit, sent: dict[str, str], formats: Mapping[str, str]) -> dict[str, Any]:
    """What a dialog says of the destination: a format of files, or the id of a database or bucket. Raises `Invalid`."""
    chosen, named = sent.get("destination.type", "parquet"), sent.get("destination.table", "").strip()
    url = {name: sent[f"destination.{name}"] for name in ("url", "partition_by")
           if sent.get(f"destination.{name}", "").strip()}  # fmt: skip
    if chosen in formats or not chosen.startswith("ds_"):
        return {"type": chosen, **url}
    found = (await choices(visit)).get(chosen)
    where = {"destination_id": chosen, **({"table": named} if named else {})}
    if found is None or not found.settings.is_bucket:
        return {"type": "postgresql", **where}
    if "partition_by" in url:
        return {"type": "parquet", **url, **where}
    ending = PurePosixPath(url.get("url", "")).suffix.lower()
    if ending not in ENDINGS:
        raise Invalid(f"The file’s ending chooses the format: {', '.join(ENDINGS)}.", at="destination.url")
    return {"type": ENDINGS[ending], **url, **where}
