"""Every operator setting once: its name, default and meaning. `NAME_FILE` reads the value from a file."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.egress import AllowList, MailSettings, check_literal
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.organisations import NewOrganisation
from keyturn.model.settings import OperatorSetting
from keyturn.model.validation import parse

SETTINGS: dict[str, str] = {
    "KEYTURN_DATA_DIR": "SQLite file, key file, imported files. Default ./keyturn-data",
    "KEYTURN_DATABASE_URL": "sqlite:///<data dir>/keyturn.db, or postgresql://user:pw@host/db",
    "KEYTURN_BIND": "Address and port to listen on. Default 127.0.0.1:8080",
    "KEYTURN_PUBLIC_URL": "What browsers type. Default http://localhost:<port of KEYTURN_BIND>",
    "KEYTURN_ENCRYPTION_KEY": "base64 of 32 bytes; several, comma-separated: the first encrypts, all decrypt",
    "KEYTURN_ENCRYPTION_KEY_COMMAND": "A command that prints the keys in the same form, run without a shell",
    "KEYTURN_ENCRYPTION_KEY_SERVICE": "A key service that wraps the keys: aws-kms:<key ARN or alias/name>, or "
    "vault-transit:https://<host>/<mount>/<key>; several, comma-separated: the first wraps, all unwrap",
    "KEYTURN_VAULT_TOKEN": "The token for vault-transit; its file is read again for each call",
    "KEYTURN_ALLOWED_PRIVATE_HOSTS": "Hosts, host:port or CIDRs that may be private or plain http. Default none",
    "KEYTURN_CA_FILE": "PEM file of certificate authorities to trust besides the system's, for end systems of your own",
    "KEYTURN_BOOTSTRAP_EMAIL": "On an empty database only: the first Workspace Admin",
    "KEYTURN_BOOTSTRAP_PASSWORD": "Their password, at least 12 characters",
    "KEYTURN_BOOTSTRAP_API_TOKEN": "An API token of theirs: kt_ and at least 32 characters",
    "KEYTURN_EXPORT_DIRS": "Absolute folders that imports may also write into, comma-separated. Default none",
    "KEYTURN_SMTP_URL": "The mail server for notices: smtp://user:password@host:587, or smtps:// for TLS at once",
    "KEYTURN_MAIL_FROM": "Whom mail is from. Default keyturn@<host of KEYTURN_PUBLIC_URL>",
    "KEYTURN_OIDC_ISSUER": "The OpenID Connect issuer that people may sign in with: https://login.example.com",
    "KEYTURN_OIDC_CLIENT_ID": "The Client ID of Keyturn there",
    "KEYTURN_OIDC_CLIENT_SECRET": "Its Client Secret",
    "KEYTURN_OIDC_NAME": "Sign in with …, on the sign-in page. Default the issuer's host",
    "KEYTURN_LOG_FORMAT": "text or json. Default text",
    "KEYTURN_LOG_LEVEL": "debug, info, warning or error. Default info",
}


_SECRET = frozenset(
    {
        "KEYTURN_ENCRYPTION_KEY",
        "KEYTURN_ENCRYPTION_KEY_COMMAND",
        "KEYTURN_VAULT_TOKEN",
        "KEYTURN_BOOTSTRAP_PASSWORD",
        "KEYTURN_BOOTSTRAP_API_TOKEN",
        "KEYTURN_OIDC_CLIENT_SECRET",
    }
)


@dataclass(frozen=True, slots=True)
class Config:
    """The process's settings, checked. Secrets are not in `repr`."""

    data_dir: Path
    database_url: str
    host: str
    port: int
    public_url: str
    encryption_key: str | None
    encryption_key_file: Path | None
    encryption_key_command: str | None
    encryption_key_service: str | None
    vault_token: str | None
    vault_token_file: Path | None
    allowed: AllowList
    ca_file: Path | None
    bootstrap_email: str | None
    bootstrap_password: str | None
    bootstrap_api_token: str | None
    export_dirs: tuple[Path, ...]
    log_format: str
    log_level: str
    mail: MailSettings | None
    organisation: NewOrganisation | None
    shown: tuple[OperatorSetting, ...]

    def __repr__(self) -> str:
        return f"Config(public_url={self.public_url}, data_dir={self.data_dir})"

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded database is used."""
        return self.database_url.startswith("sqlite:")


def read_config(environment: Mapping[str, str]) -> Config:
    """From the environment. Raises `Invalid` naming the variable and the fix."""
    values = {name: _value(environment, name) for name in SETTINGS}
    data_dir = Path(values["KEYTURN_DATA_DIR"] or "keyturn-data").absolute()
    host, port = _bind(values["KEYTURN_BIND"] or "127.0.0.1:8080")
    database_url = values["KEYTURN_DATABASE_URL"] or f"sqlite:///{data_dir / 'keyturn.db'}"
    if not database_url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise Invalid("KEYTURN_DATABASE_URL is sqlite:///path or postgresql://user:pw@host/db.",
                      at="KEYTURN_DATABASE_URL")  # fmt: skip
    log_format = values["KEYTURN_LOG_FORMAT"] or "text"
    if log_format not in {"text", "json"}:
        raise Invalid("KEYTURN_LOG_FORMAT is text or json.", at="KEYTURN_LOG_FORMAT")
    log_level = (values["KEYTURN_LOG_LEVEL"] or "info").lower()
    if log_level not in {"debug", "info", "warning", "error"}:
        raise Invalid("KEYTURN_LOG_LEVEL is debug, info, warning or error.", at="KEYTURN_LOG_LEVEL")
    allowed = AllowList.parse(values["KEYTURN_ALLOWED_PRIVATE_HOSTS"] or "")
    public_url = _public_url(values["KEYTURN_PUBLIC_URL"] or f"http://localhost:{port}")
    return Config(
        data_dir=data_dir,
        database_url=database_url.replace("postgres://", "postgresql://", 1),
        host=host,
        port=port,
        public_url=public_url,
        encryption_key=values["KEYTURN_ENCRYPTION_KEY"],
        encryption_key_file=_key_file(environment, values),
        encryption_key_command=values["KEYTURN_ENCRYPTION_KEY_COMMAND"],
        encryption_key_service=values["KEYTURN_ENCRYPTION_KEY_SERVICE"],
        vault_token=values["KEYTURN_VAULT_TOKEN"],
        vault_token_file=Path(file).absolute() if (file := environment.get("KEYTURN_VAULT_TOKEN_FILE")) else None,
        allowed=allowed,
        ca_file=_ca_file(values["KEYTURN_CA_FILE"]),
        bootstrap_email=values["KEYTURN_BOOTSTRAP_EMAIL"],
        bootstrap_password=values["KEYTURN_BOOTSTRAP_PASSWORD"],
        bootstrap_api_token=values["KEYTURN_BOOTSTRAP_API_TOKEN"],
        export_dirs=_export_dirs(values["KEYTURN_EXPORT_DIRS"] or "", data_dir),
        log_format=log_format,
        log_level=log_level,
        mail=_mail(values, public_url, allowed),
        organisation=_organisation(values, allowed),
        shown=tuple(OperatorSetting(name, meaning, _shown(name, values[name])) for name, meaning in SETTINGS.items()),
    )


def _mail(values: Mapping[str, str | None], public_url: str, allowed: AllowList) -> MailSettings | None:
    sender = values["KEYTURN_MAIL_FROM"] or f"keyturn@{urlsplit(public_url).hostname}"
    if sender.count("@") != 1 or any(c.isspace() or c in "<>," for c in sender):
        raise Invalid("KEYTURN_MAIL_FROM is one address, for example keyturn@example.com.", at="KEYTURN_MAIL_FROM")
    url = values["KEYTURN_SMTP_URL"]
    return None if url is None else MailSettings.parse(url, sender, allowed)


def _organisation(values: Mapping[str, str | None], allowed: AllowList) -> NewOrganisation | None:
    fields = {"issuer": "ISSUER", "client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET", "name": "NAME"}
    names = {field: f"KEYTURN_OIDC_{name}" for field, name in fields.items()}
    given = {field: value for field, name in names.items() if (value := values[name]) is not None}
    if not given:
        return None
    for field in ("issuer", "client_id", "client_secret"):
        if field not in given:
            raise Invalid(f"{names[field]} is missing: it belongs to the other KEYTURN_OIDC_ settings.",
                          at=names[field])  # fmt: skip
    given.setdefault("name", urlsplit(given["issuer"]).hostname or "")
    try:
        found = parse(NewOrganisation, given)
        check_literal(found.issuer, allowed)
    except Invalid as error:
        at = names[error.problems[0].at]
        raise Invalid(f"{at}: {error.problems[0].message}", at=at) from None
    except UpstreamError as error:
        raise Invalid(f"{names['issuer']}: {error.message}", at=names["issuer"]) from None
    return found


def _shown(name: str, value: str | None) -> str | None:
    """A setting's value without what is secret in it."""
    if value is None:
        return None
    if name in _SECRET:
        return redaction.MASK
    parts = urlsplit(value)
    if "@" in parts.netloc and parts.password is not None:
        user, _, place = parts.netloc.rpartition("@")
        return value.replace(parts.netloc, f"{user.partition(':')[0]}:{redaction.MASK}@{place}", 1)
    return value


def _value(environment: Mapping[str, str], name: str) -> str | None:
    direct, file = environment.get(name), environment.get(f"{name}_FILE")
    if direct and file:
        raise Invalid(f"{name} and {name}_FILE are both set. Keep one.", at=name)
    if file:
        try:
            return Path(file).read_text("utf-8").strip() or None
        except OSError as error:
            raise Invalid(f"{name}_FILE cannot be read ({error.strerror}): {file}", at=name) from None
    return (direct or "").strip() or None


def _ca_file(value: str | None) -> Path | None:
    """Read now, so that a wrong file is said at the start and not at the first call."""
    if value is None:
        return None
    path = Path(value).absolute()
    try:
        ssl.create_default_context().load_verify_locations(cafile=str(path))
    except OSError as error:
        reason = error.strerror or "no certificate in it"
        raise Invalid(f"KEYTURN_CA_FILE cannot be used ({reason}): {path}", at="KEYTURN_CA_FILE") from None
    return path


def _key_file(environment: Mapping[str, str], values: Mapping[str, str | None]) -> Path | None:
    if values["KEYTURN_ENCRYPTION_KEY"] and values["KEYTURN_ENCRYPTION_KEY_COMMAND"]:
        raise Invalid(
            "KEYTURN_ENCRYPTION_KEY and KEYTURN_ENCRYPTION_KEY_COMMAND are both set. Keep one.",
            at="KEYTURN_ENCRYPTION_KEY_COMMAND",
        )
    file = environment.get("KEYTURN_ENCRYPTION_KEY_FILE")
    return Path(file).absolute() if file else None


def _bind(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Invalid("KEYTURN_BIND is an address and a port, for example 127.0.0.1:8080.", at="KEYTURN_BIND")
    return host.strip("[]"), int(port)


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise Invalid(
            "KEYTURN_PUBLIC_URL is what people type, without a path: https://data.example.com", at="KEYTURN_PUBLIC_URL"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _export_dirs(value: str, data_dir: Path) -> tuple[Path, ...]:
    found = []
    for item in (part.strip() for part in value.split(",") if part.strip()):
        path = Path(item)
        # One that is away, like a disk of the network, may come back: its imports wait, and the doctor says it.
        if not path.is_absolute() or (path.exists() and not path.is_dir()):
            raise Invalid(f"KEYTURN_EXPORT_DIRS: {item} is not an absolute folder.", at="KEYTURN_EXPORT_DIRS")
        real = path.resolve()
        if real.is_relative_to(data_dir.resolve()) or data_dir.resolve().is_relative_to(real):
            raise Invalid(f"KEYTURN_EXPORT_DIRS: {item} overlaps the data folder.", at="KEYTURN_EXPORT_DIRS")
        found.append(real)
    return tuple(found)
