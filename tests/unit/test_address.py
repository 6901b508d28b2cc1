"""Whose address a request has: nobody can write oneself another by a header."""

from ipaddress import ip_address, ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vault.http.address import address_of, told

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

CASES = {
    "without a proxy it is the peer": ("198.51.100.7", [], "198.51.100.7"),
    "a stranger's header counts for nothing": ("198.51.100.7", ["192.0.2.1"], "198.51.100.7"),
    "a proxy says for whom": ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
    "the last that is not a proxy": ("10.0.0.1", ["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
    "what stands before it was written by itself": ("10.0.0.1", ["10.0.0.9, 192.0.2.1"], "192.0.2.1"),
    "headers in their order are one list": ("10.0.0.1", ["203.0.113.9", "192.0.2.1,10.0.0.2"], "192.0.2.1"),
    "a proxy on whose own behalf": ("10.0.0.1", [], "10.0.0.1"),
    "proxies only: the first": ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "rubbish ends the walk": ("10.0.0.1", ["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
    "rubbish alone": ("10.0.0.1", ["<script>"], "10.0.0.1"),
    "an empty header": ("10.0.0.1", [""], "10.0.0.1"),
    "a port is rubbish": ("10.0.0.1", ["192.0.2.1:4711"], "10.0.0.1"),
    "IPv6": ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
    "IPv4 inside IPv6, at both ends": ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
    "the zone of a link is not told": ("fe80::1%eth0", [], "fe80::1"),
    "no address at all": ("", ["192.0.2.1"], None),
    "the path of a socket": ("/run/vault.sock", ["192.0.2.1"], None),
}


@pytest.mark.parametrize(("peer", "forwarded", "wanted"), CASES.values(), ids=CASES)
def test_the_address_is_the_last_hop_that_is_not_ours(
    peer: str, forwarded: list[str], wanted: str | None
) -> None:
    """The peer's, or what trusted proxies, and nobody else, say of whom they speak for."""
    assert told(peer, forwarded, TRUSTED) == (wanted and ip_address(wanted))


def test_nobody_is_trusted_by_default() -> None:
    """With no trusted network the header is not looked at."""
    assert told("10.0.0.1", ["192.0.2.1"], []) == ip_address("10.0.0.1")


@pytest.mark.parametrize(("network", "wanted"), [("127.0.0.0/8", "192.0.2.1"), ("10.0.0.0/8", "127.0.0.1")])
async def test_it_is_read_from_a_request(network: str, wanted: str) -> None:
    """Peer and header of a real connection, and every line of the header."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=str(address_of(request, [ip_network(network)])))

    app = web.Application()
    app.router.add_get("/", tell)
    async with TestClient(TestServer(app)) as client:
        headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.1")]
        async with client.get("/", headers=headers) as answer:
            assert await answer.text() == wanted
