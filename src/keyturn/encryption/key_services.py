"""Key services: AWS KMS and the transit engine of HashiCorp Vault behind one port that wraps and unwraps the keyring.

A service is asked once at the start and at a rotation, never for a single secret. Its key never leaves it; what it
wraps is bound to the fingerprints in it. Calls block: they belong in a thread.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.errors import Invalid, KeyturnError, Unavailable, UpstreamError
from keyturn.wire import Headers, Request, Response

AT = "KEYTURN_ENCRYPTION_KEY_SERVICE"
_SECONDS = 10
_RETRY_SECONDS = 5.0
Send = Callable[[Request], Response]


class KeyService(Protocol):
    """One key in a key service. `name` is as the operator wrote it."""

    @property
    def name(self) -> str:
        """The setting that names it."""
        ...

    def wrap(self, plaintext: bytes, bound: Mapping[str, str]) -> bytes:
        """Encrypt, bound to `bound`. Raises `Unavailable` when the service is away, `KeyturnError` when it refuses."""
        ...

    def unwrap(self, wrapped: bytes, bound: Mapping[str, str]) -> bytes:
        """Decrypt what was wrapped with the same `bound`. Raises as `wrap`."""
        ...


@dataclass(frozen=True, slots=True)
class AwsKms:
    """`aws-kms:<key ARN, alias ARN, key id or alias/name>`; region and credentials as any AWS program finds them."""

    key: str

    @property
    def name(self) -> str:
        """As in the setting."""
        return f"aws-kms:{self.key}"

    def wrap(self, plaintext: bytes, bound: Mapping[str, str]) -> bytes:
        """KMS Encrypt with `bound` as its encryption context."""
        answer = self._call("encrypt", Plaintext=plaintext, EncryptionContext=dict(bound))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, bound: Mapping[str, str]) -> bytes:
        """KMS Decrypt by this key alone."""
        answer = self._call("decrypt", CiphertextBlob=wrapped, EncryptionContext=dict(bound))
        return bytes(answer["Plaintext"])

    def _call(self, verb: str, **parameters: Any) -> dict[str, Any]:
        try:
            import botocore.exceptions as failures
            import botocore.session
            from botocore.config import Config
        except ImportError:
            raise Invalid("AWS KMS needs an extra: pip install 'keyturn[aws-kms]'", at=AT) from None
        parts = self.key.split(":")
        region = parts[3] if self.key.startswith("arn:") and len(parts) > 5 else None
        limits = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
        try:
            client = botocore.session.get_session().create_client("kms", region_name=region, config=limits)
            answer: dict[str, Any] = getattr(client, verb)(KeyId=self.key, **parameters)
        except failures.ClientError as error:
            told = error.response.get("Error", {})
            raise _refused(self.name, f"{told.get('Code', 'error')} {told.get('Message', '')}") from None
        except (failures.NoRegionError, failures.NoCredentialsError, failures.PartialCredentialsError) as error:
            raise _refused(self.name, str(error)) from None
        except (failures.BotoCoreError, OSError) as error:
            raise _away(self.name, type(error).__name__) from None
        return answer


@dataclass(frozen=True, slots=True)
class VaultTransit:
    """`vault-transit:https://vault.example.com:8200/<mount>/<key>`, with a token that is read anew for each call."""

    url: str
    send: Send = field(repr=False)
    token: Callable[[], str | None] = field(repr=False)

    @property
    def name(self) -> str:
        """As in the setting."""
        return f"vault-transit:{self.url}"

    def wrap(self, plaintext: bytes, bound: Mapping[str, str]) -> bytes:
        """`POST /v1/<mount>/encrypt/<key>` with `bound` as associated data."""
        answer = self._call("encrypt", bound, plaintext=_base64(plaintext))
        return str(answer["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, bound: Mapping[str, str]) -> bytes:
        """`POST /v1/<mount>/decrypt/<key>`; older versions of the key open as long as Vault allows them."""
        return base64.b64decode(self._call("decrypt", bound, ciphertext=wrapped.decode())["plaintext"])

    def _call(self, verb: str, bound: Mapping[str, str], **body: str) -> dict[str, Any]:
        token = self.token()
        if token is None:
            raise Invalid("Vault needs a token: set KEYTURN_VAULT_TOKEN or KEYTURN_VAULT_TOKEN_FILE.",
                          at="KEYTURN_VAULT_TOKEN")  # fmt: skip
        redaction.remember(token)
        base, _, key = self.url.rpartition("/")
        parts = urlsplit(base)
        url = f"{parts.scheme}://{parts.netloc}/v1{parts.path}/{verb}/{key}"
        aad = _base64(json.dumps(dict(bound), sort_keys=True).encode())
        headers = Headers.of({"X-Vault-Token": token, "X-Vault-Request": "true", "Content-Type": "application/json"})
        try:
            answer = self.send(Request("POST", url, headers, json.dumps({**body, "associated_data": aad}).encode()))
        except UpstreamError as error:
            raise _away(self.name, error.message) from None
        # 472, 473, 503: Vault is sealed or a standby that cannot answer.
        if answer.status in {429, 472, 473} or answer.status >= 500:
            raise _away(self.name, f"HTTP {answer.status}")
        try:
            told = json.loads(answer.body)
            if answer.status == 200:
                data: dict[str, Any] = told["data"]
                return data
            reason = "; ".join(map(str, told.get("errors", []))) or f"HTTP {answer.status}"
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = f"HTTP {answer.status}, which is no answer of Vault"
        raise _refused(self.name, reason)


def parse_services(text: str, *, send: Send, token: Callable[[], str | None]) -> tuple[KeyService, ...]:
    """From `service[,service…]`: the first wraps, all unwrap. Raises `Invalid`."""
    found: list[KeyService] = []
    for item in (part.strip() for part in text.split(",") if part.strip()):
        kind, _, rest = item.partition(":")
        parts = urlsplit(rest)
        if kind == "aws-kms" and rest:
            found.append(AwsKms(rest))
        elif kind == "vault-transit" and parts.scheme in {"http", "https"} and parts.path.strip("/").count("/") >= 1:
            found.append(VaultTransit(rest.rstrip("/"), send, token))
        else:
            raise Invalid(
                f"{AT} is aws-kms:<key ARN or alias/name>, or vault-transit:https://<host>/<mount>/<key>.", at=AT
            )
    return tuple(found)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _away(name: str, reason: str) -> Unavailable:
    return Unavailable(
        f"The key service {name} does not answer ({redaction.text(reason, limit=160)}). Start it or mend the "
        "way to it, then try again.",
        retry_after_seconds=_RETRY_SECONDS,
    )


def _refused(name: str, reason: str) -> KeyturnError:
    return KeyturnError(
        f"The key service {name} refuses: {redaction.text(reason, limit=200).strip()}. Check its key, this server's "
        "credentials and that they may encrypt and decrypt."
    )
