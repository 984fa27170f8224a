"""Buckets of S3: refusals in our words, keys that are wrong, and where the bucket is named; on moto's S3 server."""

from __future__ import annotations

import pytest

from keyturn.destinations.destination import Away
from keyturn.destinations.objects import try_out
from keyturn.destinations.objects.bucket import Label
from keyturn.errors import Invalid, UpstreamError
from keyturn.wire import Headers, Request, Response


def test_a_wrong_key_or_secret_is_said(store):
    for changes, words in (
        ({"secret": "wrong"}, "not the secret access key"),
        ({"key_id": "AKIAUNKNOWN"}, "knows no access key"),
    ):
        with pytest.raises(Invalid, match=words):
            store.opened(**changes).reach("tables/")
        with pytest.raises(Invalid, match=words):
            try_out(store.opened(**changes), "tables/")


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "RequestTimeTooSkewed", Invalid, "Set the clock"),
        (403, "SignatureDoesNotMatch", Invalid, "not the secret access key"),
        (403, "InvalidAccessKeyId", Invalid, "knows no access key"),
        (403, "AccessDenied", Invalid, "It needs s3:ListBucket"),
        (400, "AuthorizationHeaderMalformed", Invalid, "region"),
        (301, "PermanentRedirect", Invalid, "region"),
        (307, "TemporaryRedirect", Invalid, "region"),
        (503, "SlowDown", Away, "just now"),
        (500, "InternalError", Away, "just now"),
        (400, "EntityTooLarge", Invalid, "EntityTooLarge"),
        (200, None, Away, "just now"),
        (404, None, Invalid, "no bucket"),
    ],
)
def test_each_refusal_is_a_sentence_and_no_redirect_is_followed(store, status, code, kind, words):
    asked = []

    def refusing(request: Request) -> Response:
        asked.append(request.url)
        body = f"<Error><Code>{code}</Code><Message>x</Message><Region>us-west-2</Region></Error>" if code else "hello"
        headers = Headers.of({"Location": "http://elsewhere.invalid/", "Content-Type": "application/xml"})
        return Response(status, headers, body.encode(), request.url, 0.0)

    bucket = store.opened(send=refusing)
    with pytest.raises(kind, match=words):
        bucket.begin("orders.csv", Label("text/csv", "", "im_1"), "anything")
    assert all(url.startswith(store.endpoint) for url in asked), asked


def test_the_bucket_is_in_the_path_or_in_the_host(store):
    asked = []

    def noting(request: Request) -> Response:
        asked.append(request.url)
        raise UpstreamError("Blocked.", message_code="E-BLOCKED", sent=False)

    for style in ("path", "virtual"):
        there = store.opened(endpoint="https://s3.example.com", addressing=style, send=noting)
        with pytest.raises(UpstreamError):
            there.look("a/b.csv")
    assert asked == [f"https://s3.example.com/{store.bucket}/a/b.csv", f"https://{store.bucket}.s3.example.com/a/b.csv"]
