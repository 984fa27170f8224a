"""Buckets of Google Cloud Storage: tokens, refusals in our words, and uploads whose answers get lost."""

from __future__ import annotations

import json
import os

import pytest

from google_store import PRIVATE_KEY
from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects import Changed, try_out
from keyturn.destinations.objects.bucket import Label
from keyturn.errors import Invalid
from keyturn.wire import Headers, Request, Response
from object_store import send

LABEL = Label("text/csv", "hash", "im_1-e1")
PART = 256 << 10


@pytest.fixture
def store(google_store, monkeypatch):
    monkeypatch.setattr("keyturn.destinations.objects.door._FIRST_PAUSE_SECONDS", 0.001)
    return google_store


def uploaded(bucket, key="big.csv", before="anything", parts=3):
    data = [os.urandom(PART) for _ in range(parts - 1)] + [b"the last"]
    upload = bucket.begin(key, LABEL, before)
    done = [bucket.part(key, upload, number, item) for number, item in enumerate(data, 1)]
    return b"".join(data), lambda: bucket.end(key, upload, done, LABEL, before), upload


def faults(store, *answers, method="PUT"):
    """Each request of that method meets the next of these; then all is well."""
    waiting = list(answers)
    store.server.fault = lambda asked, _: waiting.pop(0) if waiting and asked == method else None


@pytest.mark.parametrize("fault", [503, 429, "cut"])
def test_an_upload_goes_on_where_the_store_has_it(store, fault):
    bucket = store.opened()
    faults(store, fault, None, fault, fault)
    data, end, _ = uploaded(bucket)
    faults(store, fault)
    end()
    assert store.read("big.csv") == data


def test_what_the_store_did_not_keep_of_a_part_is_sent_again(store):
    keep = store.server.keep = [PART]  # of two quarters of a mebibyte one
    bucket = store.opened()
    upload = bucket.begin("half.csv", LABEL, None)
    data = [os.urandom(2 * PART), b"end"]
    done = [bucket.part("half.csv", upload, number, item) for number, item in enumerate(data, 1)]
    bucket.end("half.csv", upload, done, LABEL, None)
    assert (store.read("half.csv"), keep) == (b"".join(data), [])


def test_a_store_that_stays_busy_is_away(store):
    bucket = store.opened()
    faults(store, *[503] * 20)
    with pytest.raises(Away, match="just now"):
        uploaded(bucket)
    store.server.fault = None
    assert store.keys() == []


def test_an_end_whose_answer_was_lost_is_an_end(store):
    bucket = store.opened()
    data, end, _ = uploaded(bucket, before=None)
    faults(store, "cut")
    end()
    assert store.read("big.csv") == data


def test_an_upload_that_was_called_off_neither_ends_nor_is_seen(store):
    bucket = store.opened()
    _, end, upload = uploaded(bucket)
    assert store.opened().call_off("big.csv", upload)
    assert store.opened().call_off("big.csv", upload)
    with pytest.raises(Changed):
        end()
    assert (store.keys(), store.uploads()) == ([], [])


@pytest.mark.parametrize("there", [True, False])
def test_an_object_that_changed_meanwhile_is_not_written_over(store, there):
    bucket = store.opened()
    if there:
        store.write("big.csv", b"before")
    _, end, _ = uploaded(bucket, before=bucket.look("big.csv"))
    store.write("big.csv", b"theirs")
    with pytest.raises(Changed):
        end()
    with pytest.raises(Changed):
        bucket.begin("big.csv", LABEL, None)
    assert store.read("big.csv") == b"theirs"


def test_an_object_that_changed_is_not_fetched(store, tmp_path):
    bucket = store.opened()
    store.write("a.csv", b"before")
    found = bucket.look("a.csv")
    store.write("a.csv", b"after!")
    with pytest.raises(Changed):
        bucket.fetch("a.csv", found, tmp_path / "a.csv")


def test_an_empty_object_is_one(store):
    bucket = store.opened()
    upload = bucket.begin("empty.csv", LABEL, None)
    bucket.end("empty.csv", upload, [bucket.part("empty.csv", upload, 1, b"")], LABEL, None)
    assert store.read("empty.csv") == b""


def test_names_arrive_as_they_are(store):
    bucket = store.opened()
    for key in ("day 1/größe+a%2F&b?.csv", "c=__HIVE_DEFAULT_PARTITION__/a%2Fb.parquet"):
        bucket.put(key, b"x", LABEL)
        assert bucket.look(key).sha256 == "hash"
        bucket.remove(key)
        bucket.remove(key)
    assert store.keys() == []


def test_a_token_that_is_not_taken_any_more_is_renewed(store):
    bucket = store.opened()
    bucket.put("a.csv", b"x", LABEL)
    store.server.tokens.clear()
    assert bucket.look("a.csv").bytes == 1
    assert len(store.server.tokens) == 1


def test_a_key_that_was_deleted_or_is_another_one_is_said(store):
    account = json.loads(store.secret)
    other = {**account, "client_email": "gone@a-project.iam.gserviceaccount.com"}
    with pytest.raises(Invalid, match=r"takes no key of gone@.* \(invalid_grant\)"):
        try_out(store.opened(account=other), "")
    with pytest.raises(Invalid, match="private key of that key file cannot be read"):
        store.opened(account={**account, "private_key": PRIVATE_KEY[:90]}).reach("")


def test_who_gives_no_token_just_now_is_away(store):
    faults(store, *[503] * 30, method="POST")
    with pytest.raises(Away, match="gives no token just now"):
        store.opened().reach("")


def test_neither_token_nor_assertion_nor_rows_go_elsewhere(store):
    asked = []

    def noting(request: Request) -> Response:
        asked.append(request.url)
        return send(request)

    bucket = store.opened(send=noting)
    _, end, upload = uploaded(bucket)
    end()
    assert all(url.startswith(f"{store.endpoint}/") for url in asked), asked
    # The session that Google names is a way in for whoever knows it.
    word = upload.rpartition("upload_id=")[2]
    assert word.startswith("secret-")
    assert word not in redaction.text(f"PUT {upload} failed")
    assert word not in redaction.url(f"{store.endpoint}{upload}")


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind", "words"),
    [
        (401, "authError", "Invalid Credentials", Invalid, "does not take importer-"),
        (403, "forbidden", "x does not have storage.objects.create access", Invalid, r"\(storage.objects.create\)"),
        (403, "accountDisabled", "The billing account is disabled", Invalid, r"\(accountDisabled\)"),
        (403, "rateLimitExceeded", "", Away, "just now"),
        (429, "rateLimitExceeded", "", Away, "just now"),
        (503, "backendError", "", Away, "just now"),
        (404, "notFound", "The specified bucket does not exist.", Invalid, "no bucket"),
        (400, "invalid", "x", Invalid, r"refused the object \(invalid\)"),
        (307, None, None, Invalid, r"refused the object \(307\)"),
        (200, None, None, Away, "began no upload"),
    ],
)
def test_each_refusal_is_a_sentence_and_no_redirect_is_followed(store, status, reason, message, kind, words):
    asked = []

    def refusing(request: Request) -> Response:
        asked.append(request.url)
        if request.url.endswith("/token"):
            return send(request)
        body = json.dumps({"error": {"message": message, "errors": [{"reason": reason}]}}) if reason else "<html>"
        headers = {"Location": "http://elsewhere.invalid/"} if status == 307 else {}
        return Response(status, Headers.of(headers), body.encode(), request.url, 0.0)

    with pytest.raises(kind, match=words):
        store.opened(send=refusing).begin("orders.csv", LABEL, "anything")
    assert all(url.startswith(store.endpoint) for url in asked), asked
