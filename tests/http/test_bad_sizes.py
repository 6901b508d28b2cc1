"""Bodies that are too large, as they come or once they are unpacked."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.conversation import READERS, Client, Door, Scene, problem
from tests.http.files import contents
from vault.config import Config, Limits

every_reader = pytest.mark.parametrize("door", [pytest.param(door, id=door.name) for door in READERS])

ZEROS = 100 * 1000 * 1000


@pytest.fixture
def config() -> Config:
    """Limits that differ, so that one cannot pass for another; the batch's is small, since it is really sent."""
    return Config(limits=Limits(profile_body=40_000, batch_body=60_000, session_body=20_000))


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """100 MB of zeros in some 100 KB, by content coding."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    million = bytes(1000 * 1000)
    packed = b"".join([*(packer.compress(million) for _ in range(ZEROS // len(million))), packer.flush()])
    raw = packed[10:-8]  # without gzip's header and trailer: what servers also take for deflate
    checksum = zlib.adler32(b"")
    for _ in range(ZEROS // len(million)):
        checksum = zlib.adler32(million, checksum)
    return {"gzip": packed, "deflate": b"\x78\x9c" + raw + checksum.to_bytes(4, "big")}


def limit_of(door: Door, config: Config) -> int:
    """Return how many bytes the call may read."""
    assert door.operation.body is not None
    return door.operation.body.limit(config.limits)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield the body piece by piece: it is then sent without a Content-Length."""
    for start in range(0, len(body), 1500):
        yield body[start : start + 1500]


@pytest.mark.parametrize("pieces", [False, True], ids=["with its length", "in chunks"])
async def test_a_body_over_the_limit_is_refused(
    client: Client, scene: Scene, data: Path, config: Config, pieces: bool
) -> None:
    """One byte too many is 413, whether the length was told or not."""
    before = contents(data)
    for door in READERS:
        most = limit_of(door, config)
        right = json.dumps(door.body).encode()
        for body in (right.ljust(most + 1), b'{"a": "'.ljust(most + 1, b"x"), b"x" * (most * 3)):
            response = await door.knock(client, scene, in_pieces(body) if pieces else body)
            found = await problem(response, 413, "too_large")
            assert str(most) in found["detail"], door.name
    assert contents(data) == before


@every_reader
async def test_a_body_at_the_limit_is_read(client: Client, scene: Scene, config: Config, door: Door) -> None:
    """The bound itself is allowed: as it is, in chunks, and unpacked."""
    body = json.dumps(await door.unlocked_body(client)).encode().ljust(limit_of(door, config))
    packing = {"Content-Encoding": "gzip"}
    first = await door.knock(client, scene, body)
    assert first.status == door.operation.status
    for response in (
        await door.knock(client, scene, in_pieces(body)),
        await door.knock(client, scene, gzip.compress(body), headers=packing),
    ):
        assert response.status not in (400, 413)  # the first may have changed what there is, but it was read


async def test_every_call_has_the_limit_of_its_kind(config: Config) -> None:
    """A batch may be larger than a profile, and what is said of a session is shorter."""
    for door in READERS:
        kind = "batch" if "batch" in door.name else "session" if "/sessions" in door.name else "profile"
        assert limit_of(door, config) == getattr(config.limits, f"{kind}_body"), door.name


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_refused_unexploded(
    client: Client, scene: Scene, data: Path, bombs: dict[str, bytes], coding: str
) -> None:
    """100 MB that come as 100 KB count as what they unpack to."""
    before = contents(data)
    for door in READERS:
        response = await door.knock(client, scene, bombs[coding], headers={"Content-Encoding": coding})
        await problem(response, 413, "too_large")
    assert contents(data) == before


async def test_a_small_bomb_counts_unpacked(client: Client, scene: Scene, data: Path, config: Config) -> None:
    """Few bytes on the wire that unpack to one more than the limit are one too many."""
    before = contents(data)
    for door in READERS:
        packed = gzip.compress(json.dumps(door.body).encode().ljust(limit_of(door, config) + 1))
        assert len(packed) < 500
        response = await door.knock(client, scene, packed, headers={"Content-Encoding": "gzip"})
        await problem(response, 413, "too_large")
    assert contents(data) == before


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("gzip", b'{"profile": {}}', id="plain text that calls itself gzip"),
        pytest.param("deflate", b'{"profile": {}}', id="plain text that calls itself deflate"),
        pytest.param("gzip", gzip.compress(b'{"profile": {}}' * 100)[:-12], id="gzip cut short"),
        pytest.param("gzip", b"\x1f\x8b" + b"\xff" * 60, id="a gzip header and rubbish"),
        pytest.param("gzip", gzip.compress(b"no JSON"), id="what is packed is no JSON"),
        pytest.param("gzip", b"", id="nothing"),
    ],
)
async def test_what_does_not_unpack_is_refused(
    client: Client, scene: Scene, data: Path, coding: str, body: bytes
) -> None:
    """It is malformed, by every call, and the caller is told."""
    before = contents(data)
    for door in READERS:
        response = await door.knock(
            client, scene, body, headers={"Content-Encoding": coding, "Connection": "close"}
        )
        await problem(response, 400, "malformed")
    assert contents(data) == before


async def test_a_broken_body_spoils_no_other_request(client: Client, scene: Scene) -> None:
    """A connection that cannot go on is announced as closed, so that the next request takes another."""
    headers = {"Content-Encoding": "gzip"}
    for door in READERS[:3]:
        await problem(await door.knock(client, scene, b"no gzip", headers=headers), 400, "malformed")


async def test_a_coding_that_is_not_known_is_refused(client: Client, scene: Scene, data: Path) -> None:
    """A body that cannot be unpacked is not taken for what it says (RFC 9110, 8.4: 415)."""
    before = contents(data)
    for door in READERS:
        for coding in ("foo", "compress", "gzip, gzip"):
            response = await door.knock(client, scene, headers={"Content-Encoding": coding})
            assert response.status in (400, 415), (door.name, coding)
    assert contents(data) == before
