"""Containers of Azure Blob Storage: keys and SAS tokens, refusals in our words, and uploads whose answers get lost."""

from __future__ import annotations

import base64
from email.utils import formatdate
from urllib.parse import quote

import pytest

from azure_store import ACCOUNT, ALL, a_key
from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects import Changed, abandon, try_out
from keyturn.destinations.objects.bucket import Label
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.object_stores import (
    account_endpoint_of,
    azure_secret_of,
    bucket_of,
    is_of_account,
    sas_ends_at,
    signature_of,
)
from keyturn.wire import Headers, Request, Response
from object_store import send

LABEL = Label("text/csv", "hash", "im_1-e1")


@pytest.fixture
def store(azure_store, monkeypatch):
    monkeypatch.setattr("keyturn.destinations.objects.door._FIRST_PAUSE_SECONDS", 0.001)
    return azure_store


def uploaded(bucket, key="big.csv", before="anything"):
    upload = bucket.begin(key, LABEL, before)
    data = [b"one\n" * 1000, b"two\n"]
    done = [bucket.part(key, upload, number, item) for number, item in enumerate(data, 1)]
    return b"".join(data), lambda: bucket.end(key, upload, done, LABEL, before), upload


def cut(*methods: str):
    """A door that loses the first answer to each of these methods."""
    waiting = list(methods)

    def losing(request: Request) -> Response:
        answer = send(request)
        if request.method in waiting:
            waiting.remove(request.method)
            raise UpstreamError("The answer was lost.", message_code="E-UPSTREAM", sent=True)
        return answer

    return losing


@pytest.mark.parametrize("secret", ["key", "account", "container"])
def test_a_key_and_either_token_write_read_list_and_delete(store, secret):
    known = {"key": store.key, "account": store.secret, "container": store.sas_of_the_container()}
    bucket = store.opened(secret=known[secret])
    assert "It takes objects" in try_out(bucket, "tables/")
    for key in ("day 1/größe+a%2F&b?.csv", "c=__HIVE_DEFAULT_PARTITION__/a%2Fb.parquet"):
        bucket.put(key, b"x", LABEL)
        found = bucket.look(key)
        assert (found.sha256, found.run, found.bytes) == ("hash", "im_1-e1", 1)
        assert store.keys() == [key]
        bucket.remove(key)
        bucket.remove(key)
    data, end, _ = uploaded(bucket)
    end()
    assert store.read("big.csv") == data


def test_an_end_whose_answer_was_lost_is_an_end(store):
    for before in (None, "anything"):
        bucket = store.opened()
        upload = bucket.begin("big.csv", LABEL, before)
        done = [bucket.part("big.csv", upload, 1, b"rows")]
        store.opened(send=cut("PUT")).end("big.csv", upload, done, LABEL, before)
        assert store.read("big.csv") == b"rows"


def test_an_object_without_bytes_is_one(store):
    bucket = store.opened()
    upload = bucket.begin("empty.csv", LABEL, None)
    bucket.end("empty.csv", upload, [bucket.part("empty.csv", upload, 1, b"")], LABEL, None)
    assert (store.read("empty.csv"), bucket.look("empty.csv").sha256) == (b"", "hash")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("before", ["this one", "anything"])
def test_an_object_that_changed_meanwhile_is_not_written_over(store, there, before):
    bucket = store.opened()
    if there:
        store.write("big.csv", b"before")
    _, end, _ = uploaded(bucket, before=bucket.look("big.csv") if before == "this one" else "anything")
    store.write("big.csv", b"theirs")
    with pytest.raises(Changed):
        end()
    assert store.read("big.csv") == b"theirs"


def test_an_object_that_changed_is_not_fetched(store, tmp_path):
    bucket = store.opened()
    store.write("a.csv", b"before")
    found = bucket.look("a.csv")
    store.write("a.csv", b"after!")
    with pytest.raises(Changed):
        bucket.fetch("a.csv", found, tmp_path / "a.csv")
    bucket.remove("a.csv")
    with pytest.raises(Changed):
        bucket.stretch("a.csv", found, 0, 1)


def test_calling_off_touches_what_is_there_keeps_what_is_known_of_it_and_says_where_it_cannot(store):
    bucket = store.opened()
    bucket.put("big.csv", b"before", Label("text/csv", "another", "im_0-e1"))
    before = bucket.look("big.csv")
    _, end, upload = uploaded(bucket)
    assert bucket.call_off("big.csv", upload)
    touched = bucket.look("big.csv")
    assert (touched.sha256, touched.run, store.read("big.csv")) == (before.sha256, before.run, b"before")
    assert bucket.call_off("big.csv", upload)
    assert bucket.look("big.csv").etag == touched.etag != before.etag
    with pytest.raises(Changed):
        end()
    _, end, upload = uploaded(bucket, "new.csv")
    assert not bucket.call_off("new.csv", upload)
    end()
    assert bucket.call_off("new.csv", upload)


def test_what_could_still_come_is_cleared_away_after_a_week(store, tmp_path):
    bucket = store.opened()
    upload = bucket.begin("orders.manifest.json", LABEL, None)
    bucket.put("orders/a.parquet", b"x", LABEL)
    note = tmp_path / "im_1-e1-1-upload.json"
    note.write_text(f'{{"destination_id": "ds_1", "key": "orders.manifest.json", "upload_id": "{upload}", '
                    '"keys": ["orders/a.parquet"]}')  # fmt: skip
    assert (abandon(bucket, tmp_path), store.keys()) == ([note.name], ["orders/a.parquet"])
    assert (abandon(bucket, tmp_path, "ds_1"), store.keys()) == ([], [])
    assert not note.exists()


def test_a_name_that_azure_would_shorten_is_refused(store):
    for key in ("c=Inc./a.parquet", "a."):
        with pytest.raises(Invalid, match="no part that ends with a dot"):
            store.opened().put(key, b"x", LABEL)


def test_a_wrong_key_a_wrong_token_and_one_that_ended_are_said(store):
    for secret, words in (
        (a_key(), f"That is not a key of {ACCOUNT} at"),
        (store.wrong_secret, "does not take acmelake’s SAS token"),
        (store.sas(*ALL, minutes=-5), r"SAS token ended at \d{4}-.* UTC. A Workspace Admin can enter another"),
    ):
        with pytest.raises(Invalid, match=words) as refused:
            store.opened(secret=secret).reach("")
        assert secret not in str(refused.value)
        assert signature_of(secret) not in str(refused.value) or not signature_of(secret)


def test_a_right_that_a_token_lacks_is_said(store):
    with pytest.raises(Invalid, match=r"\(AuthorizationPermissionMismatch\). It needs the permissions Read, Create"):
        store.opened(without="list").reach("")


def test_a_token_goes_to_its_endpoint_alone_and_is_masked_wherever_an_address_is_told(store):
    asked = []

    def noting(request: Request) -> Response:
        asked.append(request)
        return send(request)

    redaction.remember(store.secret, signature_of(store.secret))
    bucket = store.opened(send=noting)
    _, end, _ = uploaded(bucket)
    end()
    assert asked
    for request in asked:
        assert request.url.startswith(f"{store.endpoint}/{store.bucket}"), request
        assert "sig=" in request.url
        for told in (redaction.url(request.url), redaction.text(request.url), repr(request)):
            assert not [secret for secret in store.secrets() if secret in told], told
    signature = "Zm9vYmFyYmF6+/Zm9vYmFyYmF6="  # of somebody else's, which this process holds nowhere
    for text in (
        redaction.url(f"https://a.example/b?sv=2023&sig={quote(signature)}"),
        redaction.text(f"sig={signature}"),
    ):
        assert "Zm9v" not in text


def refusing(status: int, code: str | None, *, headers: dict[str, str] | None = None, message: str = "x"):
    asked = []

    def answer(request: Request) -> Response:
        asked.append(request.url)
        body = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else "hello"
        )
        told = {"Content-Type": "application/xml" if code else "text/html", "Date": formatdate(usegmt=True)}
        known = {"x-ms-error-code": code} if code else {}
        return Response(status, Headers.of({**told, **known, **(headers or {})}), body.encode(), request.url, 0.0)

    return answer, asked


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AuthenticationFailed", Invalid, "does not take acmelake’s SAS token"),
        (403, "AuthorizationPermissionMismatch", Invalid, "It needs the permissions"),
        (403, "AuthorizationFailure", Invalid, "does not let this server in"),
        (403, "KeyBasedAuthenticationNotPermitted", Invalid, "acmelake takes no keys, nor SAS tokens made with one"),
        (403, "AccountIsDisabled", Invalid, r"\(AccountIsDisabled\)"),
        (404, "ContainerNotFound", Invalid, "There is no container"),
        (404, None, Invalid, "There is no container"),
        (409, "ContainerBeingDeleted", Away, "just now"),
        (412, "ConditionNotMet", Changed, "^$"),
        (409, "BlobAlreadyExists", Changed, "^$"),
        (412, "LeaseIdMissing", Away, "Somebody holds a lease"),
        (400, "InvalidBlobOrBlock", Invalid, "Another program has begun to write that blob"),
        (409, "InvalidBlobType", Invalid, r"refused the object \(InvalidBlobType\)"),
        (429, "TooManyRequests", Away, "just now"),
        (503, "ServerBusy", Away, "just now"),
        (500, None, Away, "just now"),
        (307, None, Invalid, r"refused the object \(307\)"),
        (302, None, Invalid, r"refused the object \(302\)"),
        (200, None, Invalid, r"refused the object \(200\)"),
    ],
)
def test_each_refusal_is_a_sentence_and_no_redirect_is_followed(store, status, code, kind, words):
    answer, asked = refusing(status, code, headers={"Location": "http://elsewhere.invalid/"} if status < 400 else {})
    with pytest.raises(kind, match=words):
        store.opened(send=answer).part("orders.csv", "abc ", 1, b"rows")
    assert all(url.startswith(store.endpoint) for url in asked), asked


@pytest.mark.parametrize("secret", ["key", "token"])
def test_a_clock_that_is_wrong_is_told_by_what_azure_says_the_time_is(store, secret):
    answer, _ = refusing(403, "AuthenticationFailed", headers={"Date": "Mon, 06 Jan 2020 10:00:00 GMT"})
    bucket = store.opened(send=answer, secret=store.key if secret == "key" else store.secret)
    with pytest.raises(Invalid, match=r"clock of this server is not that of 127.0.0.1.* Set the clock"):
        bucket.reach("")


def test_what_the_library_says_of_what_was_signed_is_not_repeated(store):
    said = "The MAC signature is not the same. Server used following string to sign: GET canary-51"
    answer, _ = refusing(403, "AuthenticationFailed", message=said)
    with pytest.raises(Invalid) as refused:
        store.opened(send=answer, secret=store.key).reach("")
    assert "canary" not in f"{refused.value!r} {refused.value.__cause__!r}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9v;EndpointSuffix=core.windows.net", "connection string"),
        ("BlobEndpoint=https://a.example/;SharedAccessSignature=sv=1&sig=x", "connection string"),
        ("https://acmelake.blob.core.windows.net/lake?sv=2023&sig=x", "not the whole URL"),
        ("sv=2023-11-03&sp=rw", "no whole SAS token"),
        ("hunter2", "one of the account's keys"),
        ("", "one of the account's keys"),
        (base64.b64encode(b"short").decode(), "one of the account's keys"),
    ],
)  # fmt: skip
def test_what_is_neither_a_key_nor_a_token_is_said_without_a_word_of_it(text, words):
    with pytest.raises(ValueError, match=words) as refused:
        azure_secret_of(text)
    assert not text or text not in str(refused.value)


def test_keys_and_tokens_are_told_apart():
    # A key may end in what looks like a parameter.
    key = base64.b64encode(b"x" * 60 + base64.b64decode("AAAAsig=")).decode()
    assert azure_secret_of(f" {key}\n") == key
    sas = "sv=2023-11-03&se=2030-01-02T03%3A04Z&sig=a%2Fb%3D"
    assert azure_secret_of(f"?{sas}") == sas
    assert (signature_of(sas), sas_ends_at(sas).isoformat()) == ("a/b=", "2030-01-02T03:04:00+00:00")
    assert sas_ends_at("sv=2023-11-03&si=policy&sig=x") is None
    assert sas_ends_at("se=2030-01-02&sig=x").isoformat() == "2030-01-02T00:00:00+00:00"


@pytest.mark.parametrize("name", ["Lake", "la", "a--b", "-lake", "lake-", "la.ke", "la_ke", "a" * 64])
def test_a_name_that_no_container_has_is_refused(name):
    with pytest.raises(ValueError, match="3 to 63 small letters, digits and single hyphens"):
        bucket_of(f"az://{name}/tables", "azure")


def test_an_endpoint_is_that_of_its_account():
    for url, account, is_its in (
        ("https://acmelake.blob.core.windows.net/", "acmelake", True),
        ("https://acmelake.blob.core.chinacloudapi.cn", "acmelake", True),
        ("https://other.blob.core.windows.net", "acmelake", False),
        ("https://blobs.acme.example", "acmelake", True),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1", True),
        ("http://127.0.0.1:10000/devstoreaccount1", "acmelake", False),
    ):
        assert is_of_account(account_endpoint_of(url), account) == is_its, url
    for url in (
        "acmelake.blob.core.windows.net",
        "https://a.example/Up/there",
        "https://a.example/?sv=1",
        "ftp://a.example",
    ):
        with pytest.raises(ValueError, match="Example: https://"):
            account_endpoint_of(url)
