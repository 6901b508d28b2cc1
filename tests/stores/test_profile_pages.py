from tests.stores.endings import begin_erasure, expire, stored
from tests.stores.rows import NOW, a_new_profile
from vault.ports import ProfileStore


async def test_profiles_are_paged_by_token(profiles: ProfileStore) -> None:
    """In the order of tokens, behind one or from the first, but for as many as are passed over."""
    tokens = sorted([(await stored(profiles, a_new_profile())).token for _ in range(5)])

    assert await profiles.tokens("", 9, NOW) == tokens
    assert await profiles.tokens("", 2, NOW, 1) == tokens[1:3]
    assert await profiles.tokens(tokens[1], 2, NOW, 1) == tokens[3:5]
    assert await profiles.tokens("", 9, NOW, 5) == []


async def test_profiles_that_live_are_counted(profiles: ProfileStore) -> None:
    """And paged; those that have ended, or are being erased, are not."""
    assert await profiles.count(NOW) == 0
    row = await stored(profiles, a_new_profile())
    await expire(profiles)
    await begin_erasure(profiles)

    assert await profiles.count(NOW) == 1
    assert await profiles.tokens("", 9, NOW) == [row.token]
