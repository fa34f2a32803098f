"""Which addresses a webhook may go to: those of the public internet, unless a setting allows others.

Checked where a connection is made, not before, so that no name can show one address to the check and another to the
connection (DNS rebinding; OWASP "Server-Side Request Forgery Prevention").
"""

import asyncio
import errno
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Check = Callable[[str], None]
"""Raises AddressRefusedError for an address that webhooks may not go to."""

LOOKUPS_AT_ONCE = 64
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
V4_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, 2.5.5.1
V4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765
GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that is routed on the internet
NOT_ROUTED = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"))  # RFC 6890, RFC 9637; older Pythons know them not
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class AddressRefusedError(Exception):
    """An address or URL that webhooks may not go to; the text says why."""


def address_check(allowed: bool | tuple[str, ...]) -> Check:  # noqa: FBT001  the setting is one or the other
    """The check that a setting asks for. Raises ValueError for a network that is none."""
    if allowed is True:
        return lambda _address: None
    networks = tuple(_network(text) for text in allowed or ())

    def check(text: str) -> None:
        address = ip_address(text.partition("%")[0])
        if not any(a in n for a in (address, _inner(address)) for n in networks) and not _is_public(address):
            raise AddressRefusedError(
                f"{text} is not an address of the public internet: "
                "allow its network with CLEPSYDRA_WEBHOOK_ALLOW_PRIVATE if it is meant"
            )

    return check


def checked_url(text: str, check: Check) -> URL:
    """The URL as it will be requested. Raises AddressRefusedError where its form or its literal address is refused."""
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError as fault:
        raise AddressRefusedError(f"`to` is not a URL: {fault}") from fault
    if url.scheme not in ("http", "https") or not host or not port:
        raise AddressRefusedError("`to` is not a URL like https://example.com/hook")
    if url.raw_user is not None or url.raw_password is not None:
        raise AddressRefusedError("`to` holds a user or password: use an `authorization` header")
    _check_literal(host, check)
    return url.with_fragment(None)


def _check_literal(host: str, check: Check) -> None:
    """Names pass; addresses are checked; what only C libraries take for one, as 2130706433 and 0x7f.1, is refused."""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" not in host and not NUMERIC_LABEL.fullmatch(last):
        if not HOST_NAME.fullmatch(host):
            raise AddressRefusedError(f"{host[:100]!r} is not a host name")
        return
    try:
        ip_address(host)
    except ValueError as fault:
        raise AddressRefusedError(f"{host} is no name and not an address as RFC 3986 writes it") from fault
    check(host)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as fault:
        raise ValueError(
            f"CLEPSYDRA_WEBHOOK_ALLOW_PRIVATE: {fault}; write true, false or networks like 10.1.0.0/16"
        ) from fault


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64 or address in V4_TRANSLATED or (address in V4_COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _is_public(address: Address) -> bool:
    inner = _inner(address)
    if inner is not address:
        return _is_public(inner)
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in NOT_ROUTED)
    return address.is_global and not special


class CheckedResolver(AbstractResolver):
    """Names to the addresses that a connection may go to, in threads of its own: slow name servers hold nobody else up.

    Raises AddressRefusedError when all of them are refused, OSError when there are none.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The allowed addresses of a name, in the order of the system's resolver."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        refused: AddressRefusedError | None = None
        allowed: list[ResolveResult] = []
        for family_found, _type, proto, _name, address in found:
            try:
                self._check(str(address[0]))
            except AddressRefusedError as fault:
                refused = fault
                continue
            allowed.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=family_found,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if refused is not None and not allowed:
            raise AddressRefusedError(f"{host} is at {refused}") from refused
        return allowed

    async def close(self) -> None:
        """Let go of the threads; look-ups under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as fault:
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is not a host name") from fault


def checked_socket(check: Check) -> Callable[[Any], socket.socket]:
    """Makes the sockets of connections: the last look at each address, just before it is connected to."""

    def make(info: Any) -> socket.socket:
        family, kind, proto, _name, address = info
        try:
            check(str(address[0]))
        except AddressRefusedError as fault:
            raise PermissionError(errno.EACCES, str(fault)) from fault
        return socket.socket(family, kind, proto)

    return make
