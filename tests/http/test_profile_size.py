"""A profile has a greatest size, whichever way it comes or grows."""

from dataclasses import replace

import pytest

from tests.http.conversation import PREFIX, Client, answer, create, problem, read
from vault.config import Config

PROFILES = f"{PREFIX}/profiles"
MOST = 2048


@pytest.fixture
def config() -> Config:
    """Small profiles, large batches."""
    return replace(Config(), limits=replace(Config().limits, profile_body=MOST))


async def test_an_entry_of_a_batch_is_bound_like_a_profile_of_its_own(client: Client) -> None:
    """The bound of the batch does not let a larger profile in; its neighbours are kept."""
    batch = {"profiles": [{"profile": {"a": "x" * 3000}}, {"profile": {"a": "x"}}]}
    body = await answer(await client.post(f"{PROFILES}/batch", json=batch))
    assert [sorted(each) for each in body["results"]] == [["error"], ["token"]]
    assert body["results"][0]["error"]["errors"] == {"profile": [f"must be at most {MOST} bytes of JSON"]}


async def test_a_profile_does_not_grow_beyond_it_patch_by_patch(client: Client) -> None:
    """Each patch is small enough; the one that would make the whole too large is refused and changes nothing."""
    token = await create(client, {"a": "x" * 1000})
    headers = {"Content-Type": "application/merge-patch+json"}
    await answer(await client.patch(f"{PROFILES}/{token}", data='{"b": "%s"}' % ("y" * 900), headers=headers))
    refused = await client.patch(f"{PROFILES}/{token}", data='{"c": "%s"}' % ("z" * 900), headers=headers)
    await problem(refused, 422, "invalid")
    assert sorted(await read(client, token)) == ["a", "b"]
