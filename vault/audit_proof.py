"""Proof of the audit trail: walks it from its first event to its end, and names every place where it does not hold.

It needs no service, only the data folder and what unlocks the keyring.
"""

import asyncio
import hmac
from bisect import insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from vault.audit import CHECKPOINT_FORMAT, PAGE
from vault.crypto import signed
from vault.crypto.chain import GENESIS, Chain, Mac, digest_of_details, link
from vault.crypto.keyring import Keyring
from vault.crypto.sealer import Sealer
from vault.errors import BoxError, StatementRefused
from vault.ports import AuditStore, SealedStore, Wanted
from vault.progress import Progress
from vault.records import ERASURES, End, Event

#: Findings that are kept; the others are counted.
MOST_KEPT = 100


class Finding(NamedTuple):
    """One place that does not hold; ``sequence`` is of the event there, or the first that is missing."""

    sequence: int
    what: str


class _CheckpointShape(signed.Statement, forbid_unknown_fields=True):
    tenant: str
    sequence: int
    link: str
    at: int


@dataclass(slots=True)
class Verdict:
    """What was read, and what does not hold, the first first. ``gone`` counts details that went with their person."""

    events: int = 0
    last: int = 0
    checkpoints: int = 0
    gone: int = 0
    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, sequence: int, what: str) -> None:
        """Note a finding; the first by sequence are kept, whenever they are found."""
        self.count += 1
        insort(self.findings, Finding(sequence, what))
        del self.findings[MOST_KEPT:]


@dataclass(slots=True)
class _Walk:
    """Where a walk along the trail has come: the last link, and what is to be judged when all were seen."""

    previous: bytes = GENESIS
    missing: dict[int, tuple[str | None, str]] = field(default_factory=dict)
    erased: set[str | None] = field(default_factory=set)


class AuditProof:
    """Proves one vault's trail. ``signers`` are the public keys (base64) of its signing keys."""

    def __init__(
        self,
        store: AuditStore,
        boxes: SealedStore,
        sealer: Sealer,
        keyring: Keyring,
        tenant: str,
        signers: Collection[str],
        progress: Progress,
    ) -> None:
        self._store = store
        self._boxes = boxes
        self._sealer = sealer
        self._chain = Chain(keyring, tenant)
        self._tenant = tenant
        self._signers = signers
        self._progress = progress

    async def verify(self, anchored: Iterable[str]) -> Verdict:
        """Read everything that there is at the beginning; a service may go on meanwhile.

        ``anchored`` are the checkpoints that were kept outside of the database.
        """
        verdict, signed_links = Verdict(), dict[int, str]()
        for text in anchored:
            self._take(text, signed_links, verdict, "kept outside of the database")
        kept, stored, after = set(signed_links), set[int](), 0
        while checkpoints := await self._store.checkpoints(after, PAGE):
            for one in checkpoints:
                self._take(one.statement, signed_links, verdict, "in the database", one.sequence)
                verdict.checkpoints += 1
                stored.add(one.sequence)
            after = checkpoints[-1].sequence
        for sequence in kept - stored:  # it is in the database before it is anywhere else
            verdict.add(sequence, "its checkpoint is gone from the database, and kept outside of it")
        # The end is read before the events: what is written behind it from here on is for the next proof.
        end = await self._store.end()
        walk = _Walk()
        self._progress.begin("verifying events", end.sequence if end else 0)
        await self._walk(walk, verdict, signed_links, end)
        if end is not None and await self._is_passed(end):
            await self._walk(walk, verdict, signed_links, None)
        await self._judge_details(walk, verdict)
        await self._judge_end(verdict, signed_links, end)
        return verdict

    async def _is_passed(self, end: End) -> bool:
        """Whether there are events behind an end that is still where it was: the two move together."""
        behind = await self._store.events(Wanted(), end.sequence, 1)
        return bool(behind) and await self._store.end() == end

    async def _walk(
        self, walk: _Walk, verdict: Verdict, signed_links: dict[int, str], end: End | None
    ) -> None:
        """Look at each event up to the end, or up to the last that there is."""
        while (end is None or verdict.last < end.sequence) and (
            events := await self._store.events(
                Wanted(), verdict.last, PAGE if end is None else min(PAGE, end.sequence - verdict.last)
            )
        ):
            for event in events:
                if end is not None and event.sequence > end.sequence:
                    return
                if event.sequence != verdict.last + 1:
                    verdict.add(verdict.last + 1, _missing(verdict.last + 1, event.sequence - 1))
                what = self._what_is_wrong(event, walk.previous)
                if what:
                    verdict.add(event.sequence, what)
                elif signed_links.get(event.sequence, event.link.hex()) != event.link.hex():
                    verdict.add(
                        event.sequence,
                        "a signed checkpoint says otherwise: the trail was replaced up to here",
                    )
                if event.details_digest is not None and (wrong := await self._details(event)):
                    walk.missing[event.sequence] = event.user_token, wrong
                if event.action in ERASURES:
                    walk.erased.add(event.user_token)
                walk.previous, verdict.last = event.link, event.sequence
                verdict.events += 1
            self._progress.advance(len(events))
            await asyncio.sleep(0)

    async def _judge_details(self, walk: _Walk, verdict: Verdict) -> None:
        for sequence, (token, wrong) in walk.missing.items():
            if wrong is _GONE and (token in walk.erased or await self._was_erased_since(token, verdict.last)):
                verdict.gone += 1
            else:
                verdict.add(sequence, wrong)

    def _what_is_wrong(self, event: Event, previous: bytes) -> str | None:
        if event.tenant != self._tenant or link(previous, event.said, event.details_digest) != event.link:
            return "it does not follow from the one before it: one of the two was altered, moved or put in"
        try:
            if not self._chain.holds(event.link, Mac(event.mac, event.mac_version)):
                return "its MAC does not hold: it was not written by this vault"
        except BoxError:
            return f"its MAC is of version {event.mac_version} of the line 'audit', which the keyring does not open"
        return None

    async def _was_erased_since(self, token: str | None, after: int) -> bool:
        """Whether the person was erased while the trail was walked."""
        wanted = [Wanted(token, None, action) for action in ERASURES] if token else []
        return any([await self._store.events(one, after, 1) for one in wanted])

    async def _details(self, event: Event) -> str | None:
        row = await self._boxes.get(str(event.sequence))
        if row is None:
            return _GONE
        try:
            plaintext = self._sealer.open(self._boxes.purpose, row.name, row.box)
        except BoxError:
            return "its details do not open"
        if not hmac.compare_digest(digest_of_details(plaintext), event.details_digest or b""):
            return "its details are others than were recorded"
        return None

    async def _judge_end(self, verdict: Verdict, signed_links: dict[int, str], end: End | None) -> None:
        beyond = [sequence for sequence in signed_links if sequence > verdict.last]
        if beyond:
            verdict.add(
                verdict.last + 1, _missing(verdict.last + 1, max(beyond)) + ": a signed checkpoint has them"
            )
        if end is None:
            verdict.add(verdict.last + 1, "the note of where the trail ends is gone")
            return
        if end.sequence > verdict.last:
            verdict.add(
                verdict.last + 1, _missing(verdict.last + 1, end.sequence) + ": the trail was cut off"
            )
            return
        last = await self._store.link_of(verdict.last)
        try:
            holds = self._chain.ends(verdict.last, last or GENESIS, Mac(end.mac, end.mac_version))
        except BoxError:
            holds = False
        if end.sequence != verdict.last or end.link != last or not holds:
            verdict.add(
                verdict.last + 1,
                "the note of where the trail ends does not hold: events after it may be gone",
            )

    def _take(
        self, text: str, links: dict[int, str], verdict: Verdict, where: str, named: int | None = None
    ) -> None:
        """Check a checkpoint and remember what it signed."""
        try:
            checked = signed.check(text, CHECKPOINT_FORMAT, _CheckpointShape, noun="a checkpoint")
        except StatementRefused as refused:
            verdict.add(named or 0, f"a checkpoint {where} does not hold: {refused.message}")
            return
        said = msgspec.convert({**checked.statement, "signature": ""}, _CheckpointShape)
        if checked.public_key not in self._signers or said.tenant != self._tenant:
            verdict.add(said.sequence, f"a checkpoint {where} was signed by another key than this vault's")
        elif named not in (None, said.sequence) or links.setdefault(said.sequence, said.link) != said.link:
            verdict.add(said.sequence, f"a checkpoint {where} says otherwise than another")


_GONE = "its details are gone, and its person was not erased"


def _missing(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"
