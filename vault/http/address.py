"""Where a request comes from: the peer, or whom a trusted proxy names in X-Forwarded-For.

The header is a list that each proxy appends to, so only its right end is worth believing: what stands left of the
first hop that is not ours was written by whoever sent it (RFC 7239, 8.1; developer.mozilla.org, X-Forwarded-For).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_of(request: web.BaseRequest, trusted: Sequence[Network]) -> Address | None:
    """Return the address a request comes from, or None if its connection has none.

    With a peer in ``trusted`` it is the last hop of X-Forwarded-For that is not in ``trusted``, or, if there is
    none or the text cannot be read, the last hop that could be. IPv4 inside IPv6 is told as IPv4.
    """
    return told(request.remote or "", request.headers.getall("X-Forwarded-For", ()), trusted)


def told(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Return what ``address_of`` does, of the peer's address and the values of X-Forwarded-For in their order."""
    address = _hop(peer)
    hops = ",".join(forwarded).split(",") if forwarded else []
    while address is not None and hops and within(address, trusted):
        hop = _hop(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether an address is in one of these networks."""
    return any(address in network for network in networks)


def _hop(text: str) -> Address | None:
    """Read an address, or None. A port is not part of one: a proxy that appends it is not understood."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
