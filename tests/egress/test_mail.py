"""Mail out: what a real SMTP server receives, and the sentence of each refusal."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager

import pytest

from certificates import self_signed
from keyturn.egress import AllowList, Mailer, MailSettings
from keyturn.errors import Invalid, UpstreamError
from postbox import Postbox
from world import free_port

FROM = "keyturn@data.example.com"


@asynccontextmanager
async def mailer(url: str, *, allowed: str = "", ca_file=None):
    made = Mailer(MailSettings.parse(url, FROM, AllowList.parse(allowed)), ca_file=ca_file)
    yield made
    made.close()


async def send(made: Mailer, **changes) -> None:
    message = {"to": "ana@example.com", "subject": "acme needs reconnecting", "text": "It is so.\n"}
    await made.send(**message, **{"message_id": "msg_1", **changes})


async def refused(url: str, **named) -> UpstreamError:
    async with mailer(url, **named) as made:
        with pytest.raises(UpstreamError) as caught:
            await send(made)
    return caught.value


async def test_a_message_arrives_as_it_was_written():
    with Postbox() as box:
        async with mailer(box.url) as made:
            await send(made)
        (message,) = box.messages
    assert (message["From"], message["To"]) == (f"Keyturn <{FROM}>", "ana@example.com")
    assert (message["Subject"], message["Message-ID"]) == ("acme needs reconnecting", "<msg_1@data.example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_payload(decode=True).strip() == b"It is so."


async def test_the_mail_servers_own_words_are_in_the_sentence():
    with Postbox() as box:
        box.refuse_sender = "550 5.7.1 not one of ours"
        error = await refused(box.url)
        assert error.message == "The mail server refused the sender address: 5.7.1 not one of ours"
        box.refuse_sender, box.refuse_recipient = "", "550 5.1.1 nobody here"
        error = await refused(box.url)
        assert (error.message, error.details) == (
            "The mail server refused the recipient address: 5.1.1 nobody here", {"permanent": True},
        )  # fmt: skip
        box.refuse_recipient = "450 4.2.0 greylisted, come again"
        assert (await refused(box.url)).details == {"permanent": False}
        box.refuse_recipient, box.refuse_message = "", "554 5.6.0 looks odd"
        assert "looks odd" in (await refused(box.url)).message


async def test_a_password_goes_over_tls_and_to_a_verified_server_alone(tmp_path):
    authority = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with Postbox(tls=context, password="right") as box:
        url = box.url.replace("smtp://", "smtp://ana:right@")
        assert "We could not verify the certificate" in (await refused(url)).message
        async with mailer(url, ca_file=authority) as made:
            await send(made)
        assert box.subjects() == ["acme needs reconnecting"]
        wrong = await refused(url.replace("right", "wrong"), ca_file=authority)
        assert wrong.message == "The mail server refused the user name or password of KEYTURN_SMTP_URL."


async def test_without_encryption_no_password_is_sent():
    with Postbox() as box:
        error = await refused(box.url.replace("smtp://", "smtp://ana:secret-password@"))
        assert "offers no encryption (STARTTLS)" in error.message
        assert box.messages == []


async def test_a_server_elsewhere_must_encrypt_unless_the_operator_allows_it():
    plain = MailSettings.parse("smtp://mail.example.com", FROM, AllowList.parse(""))
    assert (plain.may_be_plain, plain.port, plain.tls) == (False, 587, "starttls")
    assert MailSettings.parse("smtp://mail.example.com", FROM, AllowList.parse("mail.example.com")).may_be_plain
    assert MailSettings.parse("smtps://mail.example.com", FROM, AllowList.parse("")).port == 465


async def test_a_server_that_is_not_there_is_said_so():
    assert "refused the connection. Is it running?" in (await refused(f"smtp://127.0.0.1:{free_port()}")).message
    assert "could not find the mail server" in (await refused("smtp://mail.invalid")).message


async def test_no_header_can_be_slipped_in():
    with Postbox() as box:
        async with mailer(box.url) as made:
            await made.send(to="ana@example.com", subject="a\r\nBcc: eve@example.com", text="x", message_id="msg_2")
        (message,) = box.messages
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:port", "smtp://h/x"]
)
def test_another_address_is_refused_without_repeating_it(url):
    with pytest.raises(Invalid) as caught:
        MailSettings.parse(url, FROM, AllowList.parse(""))
    assert caught.value.problems[0].at == "KEYTURN_SMTP_URL"
    assert "mail.example.com" not in caught.value.message


async def test_without_a_mail_server_it_is_said_which_setting_is_missing():
    made = Mailer(None)
    with pytest.raises(Invalid, match="KEYTURN_SMTP_URL"):
        await send(made)
    made.close()


def test_the_password_is_in_no_repr():
    assert "s3cret" not in repr(MailSettings.parse("smtp://ana:s3cret-pw@h", FROM, AllowList.parse("")))
