"""Reading many profiles at once: for a minute, for a reason, by the access key that asked, and each one recorded."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from tests.clock import FakeClock
from tests.http.conversation import ADA, NOBODY, Client, answer, create, problem
from tests.rotating import select
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.ports import Wanted
from vault.records import Rails

BULK = f"{PREFIX}/profiles/bulk"
REASON = "monthly invoices"
Keys = Callable[..., Awaitable[str]]


async def unlock(client: Client, **headers: str) -> str:
    """Ask for leave."""
    told = await answer(await client.post(f"{BULK}/unlock", json={"reason": REASON}, headers=headers), 201)
    return str(told["unlock"])


async def people(client: Client, count: int) -> list[str]:
    """Keep people and return their tokens, in the order of tokens."""
    return sorted([await create(client, {"email": f"p{n}@example.org", "n": n}) for n in range(count)])


async def tokens_of(response: Any) -> list[str]:
    """Return whose profiles were opened."""
    return [one["token"] for one in (await answer(response))["profiles"]]


async def test_profiles_are_read_for_the_reason_that_was_named(client: Client, vault: Vault) -> None:
    """In the order asked for, each once, unknown ones left out; each is an event with the reason as its purpose."""
    first, _, third = await people(client, 3)
    leave = await unlock(client)
    body = {"unlock": leave, "tokens": [third, NOBODY, first, "no token", third]}

    response = await client.post(f"{BULK}/read", json=body, headers={"Vault-Purpose": "another"})

    opened = (await answer(response))["profiles"]
    assert [one["token"] for one in opened] == [third, first]
    assert all(one["profile"]["email"].endswith("@example.org") and one["revision"] == 1 for one in opened)
    events = await vault.audit.events(Wanted(action="profile.revealed"), 0, 9)
    assert [(event.user_token, event.purpose) for event in events] == [(third, REASON), (first, REASON)]
    (given,) = await vault.audit.events(Wanted(action="bulk.unlocked"), 0, 9)
    assert await vault.audit.details(given) == {"reason": REASON}


async def test_an_unlock_lasts_sixty_seconds(client: Client, clock: FakeClock) -> None:
    """By the vault's clock; dead at the very moment of its end, for both calls; and it may be used again till then."""
    (token,) = await people(client, 1)
    told = await answer(await client.post(f"{BULK}/unlock", json={"reason": REASON}), 201)
    assert told["expires_at"] == "2027-01-15T08:01:00.000Z"
    assert re.fullmatch(r"tvu_[\w-]{43}", told["unlock"])
    body = {"unlock": told["unlock"]}
    for seconds in (0, 59.999):
        clock.advance(seconds)
        assert await tokens_of(await client.post(f"{BULK}/read", json={**body, "tokens": [token]})) == [token]
        assert await tokens_of(await client.post(f"{BULK}/list", json=body)) == [token]
    clock.advance(0.001)
    await problem(await client.post(f"{BULK}/read", json={**body, "tokens": [token]}), 403, "unlock_refused")
    await problem(await client.post(f"{BULK}/list", json=body), 403, "unlock_refused")
    await answer(await client.post(f"{BULK}/read", json={"unlock": await unlock(client), "tokens": [token]}))


async def test_an_unlock_is_one_access_keys(client: Client, key_for: Keys, vault: Vault) -> None:
    """Another's, an unknown one and none at all are answered alike, and open nothing."""
    (token,) = await people(client, 1)
    theirs = await unlock(client)
    ours = {"Authorization": f"Bearer {await key_for('admin')}"}
    answers = []
    for leave in (theirs, "tvu_" + "A" * 43, "", "tvs_" + "A" * 43, theirs[:-1], theirs + "\n"):
        body = {"unlock": leave, "tokens": [token]}
        told = await problem(
            await client.post(f"{BULK}/read", json=body, headers=ours), 403, "unlock_refused"
        )
        told.pop("request_id")
        answers.append(told)
    assert all(told == answers[0] for told in answers)
    assert await vault.audit.events(Wanted(action="profile.revealed"), 0, 9) == []
    assert await tokens_of(await client.post(f"{BULK}/read", json={"unlock": theirs, "tokens": [token]})) == [
        token
    ]


async def test_it_takes_the_scope(client: Client, key_for: Keys) -> None:
    """Whoever may open profiles one by one may not ask for leave, and whoever may read in bulk need no more."""
    (token,) = await people(client, 1)
    leave = await unlock(client)
    little = {"Authorization": f"Bearer {await key_for('profiles:read', 'profiles:write')}"}
    for path, body in (
        ("unlock", {"reason": REASON}),
        ("read", {"unlock": leave, "tokens": [token]}),
        ("list", {"unlock": leave}),
    ):
        await problem(await client.post(f"{BULK}/{path}", json=body, headers=little), 403, "scope_missing")
    bulk = {"Authorization": f"Bearer {await key_for('profiles:bulk')}"}
    body = {"unlock": await unlock(client, **bulk)}
    assert await tokens_of(await client.post(f"{BULK}/list", json=body, headers=bulk)) == [token]


async def test_all_profiles_are_read_page_by_page(client: Client, clock: FakeClock) -> None:
    """In the order of tokens, each once; those that have ended are left out."""
    ended = await create(client, ADA, expires_in=10)
    clock.advance(10)
    tokens = await people(client, 7)
    leave = await unlock(client)
    for limit in (1, 3, 7.0, 8):  # 7.0 is whole, as JSON Schema has it
        found: list[str] = []
        after: str | None = ""
        pages = 0
        while after is not None:
            body = {"unlock": leave, "after": after, "limit": limit}
            told = await answer(await client.post(f"{BULK}/list", json=body))
            found += [one["token"] for one in told["profiles"]]
            after, pages = told["next"], pages + 1
        assert (found, pages) == (tokens, 7 // limit + 1)
    assert ended not in tokens


async def test_each_profile_counts_against_the_budget(client: Client, vault: Vault) -> None:
    """All of a read or none: beyond it nothing is shown, recorded or counted."""
    tokens = await people(client, 6)
    text, _ = await vault.access.create("bulk", {"profiles:bulk"}, rails=Rails(reveals_per_hour=5))
    ours = {"Authorization": f"Bearer {text}"}
    leave = await unlock(client, **ours)

    async def ask(*wanted: str) -> Any:
        return await client.post(f"{BULK}/read", json={"unlock": leave, "tokens": wanted}, headers=ours)

    assert await tokens_of(await ask(*tokens[:3], NOBODY, tokens[0])) == tokens[:3]
    response = await ask(*tokens[:3])
    assert response.headers["Retry-After"] == "3600"
    await problem(response, 429, "budget_spent")
    assert await tokens_of(await ask(NOBODY)) == []
    assert await tokens_of(await ask(*tokens[4:])) == tokens[4:]
    await problem(await ask(tokens[0]), 429, "budget_spent")
    assert len(await vault.audit.events(Wanted(action="profile.revealed"), 0, 99)) == 5


async def test_who_is_shown_masked_fields_is_shown_them_in_bulk_too(client: Client, vault: Vault) -> None:
    """What an access key may not see, it sees in no list."""
    token = await create(client, ADA)
    rails = Rails(fields=("email", "last_name"), masked=("email",))
    text, _ = await vault.access.create("bulk", {"profiles:bulk"}, rails=rails)
    ours = {"Authorization": f"Bearer {text}"}
    leave = await unlock(client, **ours)
    for path, body in (("read", {"tokens": [token]}), ("list", {})):
        response = await client.post(f"{BULK}/{path}", json={"unlock": leave, **body}, headers=ours)
        (opened,) = (await answer(response))["profiles"]
        assert opened["profile"] == {"email": "***", "last_name": "Lovelace"}


WRONG = {
    "no reason": ("unlock", {}, "reason"),
    "an empty reason": ("unlock", {"reason": ""}, "reason"),
    "a reason that is too long": ("unlock", {"reason": "x" * 129}, "reason"),
    "a reason with an e-mail in it": ("unlock", {"reason": "for ada@example.org"}, "reason"),
    "a reason that is not ASCII": ("unlock", {"reason": "Prüfung"}, "reason"),
    "no unlock": ("read", {"tokens": [NOBODY]}, "unlock"),
    "no tokens": ("read", {"unlock": "", "tokens": []}, "tokens"),
    "too many tokens": ("read", {"unlock": "", "tokens": [NOBODY] * 1001}, "tokens"),
    "a page that is too large": ("list", {"unlock": "", "limit": 1001}, "limit"),
    "a page of nothing": ("list", {"unlock": "", "limit": 0}, "limit"),
    "a page of true": ("list", {"unlock": "", "limit": True}, "limit"),
}


async def test_what_cannot_be_read_is_refused(client: Client, vault: Vault) -> None:
    """With the name of what is wrong, and no event."""
    before = await vault.audit.events(Wanted(), 0, 99)
    for sentence, (path, body, name) in WRONG.items():
        told = await problem(await client.post(f"{BULK}/{path}", json=body), 422, "invalid")
        assert told["errors"].keys() == {name}, sentence
    assert await vault.audit.events(Wanted(), 0, 99) == before


async def test_an_unlock_is_kept_as_a_digest_and_swept(
    client: Client, vault: Vault, clock: FakeClock, data: Any
) -> None:
    """The text is in no file; once it is over the row goes with the next sweep."""
    leave = await unlock(client)
    assert [len(digest) for (digest,) in select(data / "vault.db", "SELECT digest FROM unlocks")] == [32]
    for path in data.iterdir():
        assert leave.encode() not in path.read_bytes(), path.name
    clock.advance(59)
    await vault.housekeeping.round()
    assert len(select(data / "vault.db", "SELECT digest FROM unlocks")) == 1
    clock.advance(1)
    await vault.housekeeping.round()
    assert select(data / "vault.db", "SELECT digest FROM unlocks") == []
