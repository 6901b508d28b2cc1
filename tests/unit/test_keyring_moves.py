"""The life of a key version: which moves there are, which are refused and why, and what each leaves behind."""

from itertools import product
from typing import Any, NamedTuple

import pytest

from vault.crypto.derive import fingerprint
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion, new_keyring
from vault.crypto.sealer import Sealer
from vault.errors import KeyMoveRefused, KeyringError, NoSuchKey, UnknownKey

PENDING, ACTIVE, RETIRING, DISABLED, DESTROYED = KeyState

#: The version that is moved, and another one of the line, which is active where the first is not.
MOVED, OTHER = 2, 1
SECRET = bytes(range(32))

FROM_DESTROYED = "is destroyed and cannot become {to} from there (possible: none)."
FROM_PENDING = "is pending and cannot become {to} from there (possible: active or disabled)."
FROM_RETIRING = "is retiring and cannot become {to} from there (possible: active or disabled)."
FROM_DISABLED = "is disabled and cannot become {to} from there (possible: retiring or destroyed)."
FROM_ACTIVE = "is active and cannot become {to} from there (possible: none)."


class Refusal(NamedTuple):
    """Why a move is refused, in the words that the operator reads."""

    reason: str


#: Every pair of states: the state that the other version has after the move, or why there is no such move.
PAIRS: dict[tuple[KeyState, KeyState], KeyState | Refusal] = {
    (PENDING, PENDING): Refusal(FROM_PENDING),
    (PENDING, ACTIVE): RETIRING,
    (PENDING, RETIRING): Refusal(FROM_PENDING),
    (PENDING, DISABLED): ACTIVE,
    (PENDING, DESTROYED): Refusal(FROM_PENDING),
    (ACTIVE, PENDING): Refusal(FROM_ACTIVE),
    (ACTIVE, ACTIVE): Refusal(FROM_ACTIVE),
    (ACTIVE, RETIRING): Refusal(FROM_ACTIVE),
    (ACTIVE, DISABLED): Refusal(FROM_ACTIVE + " Activate another version first: tokenvault keys rotate"),
    (ACTIVE, DESTROYED): Refusal(FROM_ACTIVE + " Rotate first: tokenvault keys rotate"),
    (RETIRING, PENDING): Refusal(FROM_RETIRING),
    (RETIRING, ACTIVE): RETIRING,
    (RETIRING, RETIRING): Refusal(FROM_RETIRING),
    (RETIRING, DISABLED): ACTIVE,
    (RETIRING, DESTROYED): Refusal(FROM_RETIRING + " Finish the rotation first: tokenvault keys rotate"),
    (DISABLED, PENDING): Refusal(FROM_DISABLED),
    (DISABLED, ACTIVE): Refusal(FROM_DISABLED + " Enable it first: tokenvault keys enable"),
    (DISABLED, RETIRING): ACTIVE,
    (DISABLED, DISABLED): Refusal(FROM_DISABLED),
    (DISABLED, DESTROYED): ACTIVE,
    (DESTROYED, PENDING): Refusal(FROM_DESTROYED),
    (DESTROYED, ACTIVE): Refusal(FROM_DESTROYED),
    (DESTROYED, RETIRING): Refusal(FROM_DESTROYED),
    (DESTROYED, DISABLED): Refusal(FROM_DESTROYED),
    (DESTROYED, DESTROYED): Refusal(FROM_DESTROYED),
}  # fmt: skip


def ring(state: KeyState, line: str = "data") -> Keyring:
    """Return a keyring in which one version of a line is in this state."""
    if state is DESTROYED:
        moved = KeyVersion(line, MOVED, state, 7, b"", fingerprint(SECRET, line, MOVED))
    else:
        moved = KeyVersion(line, MOVED, state, 7, SECRET)
    other = KeyVersion(line, OTHER, RETIRING if state is ACTIVE else ACTIVE, 5, bytes(32))
    return Keyring([other, moved, *(key for key in new_keyring(5) if key.line != line)])


def states(keyring: Keyring, line: str = "data") -> dict[int, KeyState]:
    """Return the state of each version of a line."""
    return {key.version: key.state for key in keyring.of_line(line)}


def table() -> list[Any]:
    """Return every pair of states with what comes of it, under a sentence."""
    return [
        pytest.param(
            begin, to, outcome,
            id=f"{begin} {'may not' if isinstance(outcome, Refusal) else 'may'} become {to}",
        )
        for (begin, to), outcome in PAIRS.items()
    ]  # fmt: skip


def test_no_pair_of_states_is_forgotten() -> None:
    """The table below has all of them."""
    assert set(PAIRS) == set(product(KeyState, KeyState))


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("begin", "to", "outcome"), table())
def test_a_version_goes_where_it_may_and_is_told_why_not(
    begin: KeyState, to: KeyState, outcome: KeyState | Refusal, line: str
) -> None:
    """A move changes the version and, if it takes over, the one before; a refusal gives the reason; the keyring that
    was asked stays as it was either way."""
    before = ring(begin, line)
    as_it_was = list(before)
    if isinstance(outcome, Refusal):
        with pytest.raises(KeyMoveRefused) as refused:
            before.moved(line, MOVED, to)
        assert refused.value.message == f"Version {MOVED} of line '{line}' " + outcome.reason.format(to=to)
    else:
        after = before.moved(line, MOVED, to)
        assert states(after, line) == {OTHER: outcome, MOVED: to}
        assert (after.active(line).version == MOVED) == (to is ACTIVE)
        for other in LINES:
            if other != line:
                assert after.of_line(other) == before.of_line(other)
    assert list(before) == as_it_was


@pytest.mark.parametrize("state", KeyState)
def test_what_a_state_is_good_for(state: KeyState) -> None:
    """Pending, active and retiring versions open; the others are as good as unknown, by number and in a list."""
    keyring = ring(state)
    live = [key.version for key in keyring.live("data")]
    if state in (PENDING, ACTIVE, RETIRING):
        assert keyring.opening("data", MOVED).secret == SECRET
        assert live == [MOVED, OTHER]  # the newest first
    else:
        with pytest.raises(UnknownKey):
            keyring.opening("data", MOVED)
        assert live == [OTHER]


def test_a_destroyed_version_leaves_a_tombstone() -> None:
    """The secret is gone, in the object too, and the fingerprint stays; what it was made of is untouched."""
    before = ring(DISABLED)
    (key,) = (key for key in before.moved("data", MOVED, DESTROYED).of_line("data") if key.version == MOVED)
    assert (key.secret, key.state, key.created_at) == (b"", DESTROYED, 7)
    assert key.fingerprint == key.tombstone == fingerprint(SECRET, "data", MOVED)
    assert before.of_line("data")[-1].secret == SECRET


def test_a_version_that_there_is_not_moves_nowhere() -> None:
    """It is named."""
    with pytest.raises(NoSuchKey, match="no version 9 of line 'data'"):
        ring(PENDING).moved("data", 9, ACTIVE)


@pytest.mark.parametrize("state", [state for state in KeyState if state is not PENDING])
def test_an_added_version_waits_under_the_next_number(state: KeyState) -> None:
    """Whatever became of the last version, its number is never given again, and the new key is another."""
    before = ring(state)
    after = before.added("data", 99)
    assert states(after) == {**states(before), MOVED + 1: PENDING}
    added = after.of_line("data")[-1]
    assert (added.created_at, len(added.secret)) == (99, 32)
    assert added.secret not in {key.secret for key in before}
    assert after.active("data") == before.active("data")
    assert states(before).keys() == {OTHER, MOVED}


def test_no_version_is_added_while_one_waits() -> None:
    """It says which, and how to go on with it."""
    with pytest.raises(
        KeyMoveRefused,
        match=r"Version 2 of line 'data' is pending already\. Go on with it: tokenvault keys rotate --line data",
    ):
        ring(PENDING).added("data", 0)


def test_the_first_version_of_a_line_is_active() -> None:
    """A keyring from before there were certificates has none of the line "signing"."""
    old = Keyring(key for key in new_keyring(0) if key.line != "signing")
    with pytest.raises(NoSuchKey, match="tokenvault keys new --line signing"):
        old.active("signing")
    assert states(old.added("signing", 0), "signing") == {1: ACTIVE}
    assert states(old.added("signing", 0).added("signing", 0), "signing") == {1: ACTIVE, 2: PENDING}


@pytest.mark.parametrize("line", ["data", "index"])
def test_a_line_that_rows_need_is_never_empty(line: str) -> None:
    """A keyring without one is refused, and never given a first version by the way."""
    with pytest.raises(KeyringError, match=f"'{line}' has 0 active key versions"):
        Keyring(key for key in new_keyring(0) if key.line != line)


def test_who_holds_a_keyring_goes_on_with_what_it_becomes() -> None:
    """A sealer made before a move seals under the new key after it, and loses what a later move takes away."""
    held = new_keyring(0)
    sealer = Sealer(held, "default")
    old = sealer.seal("profile", "row", b"{}")
    held.become(held.added("data", 0).moved("data", 2, ACTIVE))
    assert (old.key_version, sealer.seal("profile", "row", b"{}").key_version) == (1, 2)
    assert sealer.open("profile", "row", old.box) == b"{}"
    renewed = sealer.reseal("profile", "row", old.box)
    held.become(held.moved("data", 1, DISABLED))
    with pytest.raises(UnknownKey):
        sealer.open("profile", "row", old.box)
    assert sealer.open("profile", "row", renewed.box) == b"{}"


def test_what_became_another_shares_nothing_with_later_moves() -> None:
    """Moves of the one that was taken over do not reach who took over from it."""
    held, newer = new_keyring(0), ring(PENDING)
    held.become(newer)
    assert states(held) == states(newer) == {OTHER: ACTIVE, MOVED: PENDING}
    newer.become(newer.moved("data", MOVED, ACTIVE))
    assert states(held) == {OTHER: ACTIVE, MOVED: PENDING}
    assert held.active("data").version == OTHER
