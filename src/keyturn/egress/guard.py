"""Which addresses may be connected to: the public internet, and what the operator named. Pure but for name look-ups."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from keyturn.errors import Invalid, UpstreamError
from keyturn.model.messages import say

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Never, not even when listed: cloud metadata lives there.
_NEVER = tuple(ipaddress.ip_network(n) for n in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"))
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts, `host:port` or CIDRs that may be private or plain http, by the operator's word alone."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """From a comma-separated list. Raises `Invalid` for what can never be allowed or cannot be read."""
        hosts: set[tuple[str, int | None]] = set()
        networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in (part.strip() for part in text.split(",")):
            if not item:
                continue
            try:
                network = ipaddress.ip_network(item.strip("[]"), strict=False)
            except ValueError:
                hosts.add(_host_port(item))
                continue
            if any(network.version == never.version and network.subnet_of(never) for never in _NEVER):  # type: ignore[arg-type]  # pyrefly: ignore
                raise Invalid(f"{item} can never be allowed.", at="KEYTURN_ALLOWED_PRIVATE_HOSTS")
            networks.append(network)
        return cls(frozenset(hosts), tuple(networks))

    def names(self) -> list[str]:
        """What is listed, as the operator would write it."""
        hosts = [name if port is None else f"{name}:{port}" for name, port in self.hosts]
        return sorted([*hosts, *map(str, self.networks)])

    def allows(self, host: str, port: int | None, address: Address | None = None) -> bool:
        """Whether the operator named this host (with or without port) or the address it leads to."""
        name = host.lower().strip("[]").rstrip(".")
        if (name, None) in self.hosts or (name, port) in self.hosts:
            return True
        found = address or _literal(name)
        return found is not None and any(
            found.version == network.version and found in network for network in self.networks
        )


def may_connect(allowed: AllowList, address: Address, port: int) -> bool:
    """Whether a resolved address may be connected to; asked right before the connect, with no look-up in between."""
    if is_public(address):
        return True
    if is_never(address):
        return False
    # Hosts that are allowed by name are matched by what they lead to now.
    return allowed.allows(str(address), port, address) or _resolves_to(allowed, address, port)


def addresses_of(host: str, port: int, allowed: AllowList) -> list[str]:
    """The addresses of a host that may be connected to, for a library that opens connections of its own.

    It has to connect to these and never to the name, so that no second look-up slips in between. Raises
    `UpstreamError` (E-BLOCKED, E-DNS; not sent).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UpstreamError(say("E-DNS", host=host), message_code="E-DNS", sent=False) from None
    addresses = dict.fromkeys(str(entry[4][0]).split("%")[0] for entry in found)
    free = [address for address in addresses if may_connect(allowed, ipaddress.ip_address(address), port)]
    if not free:
        raise UpstreamError(say("E-BLOCKED", host=host), message_code="E-BLOCKED", sent=False)
    return free


def is_never(address: Address) -> bool:
    """Link-local addresses, in any wrapping: refused whatever the operator lists."""
    inner = _inside(address)
    found = address if inner is None else inner
    return any(found.version == never.version and found in never for never in _NEVER)


def check_literal(url: str, allowed: AllowList) -> None:
    """Refuse by what the address says, without network: plain http and literal private addresses that are not listed.

    Raises `UpstreamError` (E-BLOCKED, not sent). Odd spellings (0x7f.1, 2130706433, 0) count as what they mean.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if not host or parts.scheme not in {"http", "https"}:
        raise UpstreamError("This is not an http or https address.", message_code="E-BLOCKED", sent=False)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _literal(host)
    if address is not None and is_never(address):
        raise UpstreamError(f"{host} can never be allowed.", message_code="E-BLOCKED", sent=False)
    if allowed.allows(host, port, address):
        return
    local = host.lower() == "localhost" or host.lower().endswith(".localhost")
    if local or (address is not None and not is_public(address)):
        raise UpstreamError(say("E-BLOCKED", host=host), message_code="E-BLOCKED", sent=False)
    if parts.scheme == "http":
        raise UpstreamError(
            "Use https. Plain http only works for hosts the operator allows.", message_code="E-BLOCKED", sent=False
        )


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, also behind mapped, NAT64, 6to4 and Teredo spellings."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    # Site-local addresses were given up (RFC 3879), but networks that still have them take them for their own.
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if int(address) >> 32 == 0 and int(address) > 1:
        return ipaddress.IPv4Address(int(address))
    return None


def _literal(host: str) -> Address | None:
    """The address a host spells, in any spelling the system's resolver takes without asking DNS; else None."""
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        pass
    if not host or not all(part and part[0] in "0123456789" for part in host.split(".")):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _resolves_to(allowed: AllowList, address: Address, port: int) -> bool:
    """Whether a host that is allowed by name leads to this address now."""
    for host, only_port in allowed.hosts:
        if only_port not in (None, port):
            continue
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        if any(ipaddress.ip_address(str(entry[4][0]).split("%")[0]) == address for entry in found):
            return True
    return False


def _host_port(item: str) -> tuple[str, int | None]:
    host, _, port = item.rpartition(":")
    if host and port.isdigit() and (":" not in host or host.startswith("[")):
        return host.strip("[]").lower().rstrip("."), int(port)
    if "/" in item or " " in item or not item.strip("[]"):
        raise Invalid(f"{item} is neither a host, host:port nor a network such as 10.0.0.0/8.",
                      at="KEYTURN_ALLOWED_PRIVATE_HOSTS")  # fmt: skip
    return item.strip("[]").lower().rstrip("."), None
