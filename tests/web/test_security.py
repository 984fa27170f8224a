"""What surrounds the app: whoever comes under another name is sent to the public URL, as they asked and nowhere else."""

from __future__ import annotations

import pytest

from keyturn.web.security import SecurityHeaders

PUBLIC = "https://data.example.com"


async def nothing() -> dict:
    return {"type": "http.request"}


async def led_to(raw_path: bytes, path: str, query: bytes = b"") -> str:
    """Where a browser that used another name is sent."""
    sent: list[dict] = []

    async def app(scope, receive, send) -> None:
        raise AssertionError("the app is not asked")

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": [(b"host", b"evil.example")],
    }
    await SecurityHeaders(app, PUBLIC)(scope, nothing, send)
    assert sent[0]["status"] == 307
    return dict(sent[0]["headers"])[b"location"].decode("ascii")


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [(b"/tables", "/tables"), (b"/%0d%0aSet-Cookie:%20a=b", "/\r\nSet-Cookie: a=b"), (b"/%E2%82%AC", "/€"),
     (b"/%ff", "/\udcff"), (b"/a%3Fb", "/a?b"), (b"/%00", "/\x00")],
)  # fmt: skip
async def test_a4_another_name_leads_to_the_public_url_letter_by_letter(raw_path, path):
    assert await led_to(raw_path, path, b"q=1") == f"{PUBLIC}{raw_path.decode()}?q=1"


@pytest.mark.parametrize("raw_path", [b"//evil.example/", b"*", b"@evil.example", b".evil.example", b""])
async def test_l8_no_path_leads_elsewhere(raw_path):
    found = await led_to(raw_path, raw_path.decode())
    assert found == f"{PUBLIC}/{raw_path.decode().lstrip('/')}"
