"""The audit trail: who did what, when and why, in a chain that shows every later change (docs/audit.md).

An act on profiles, keys or access takes its event along into its own transaction; a profile is shown, and an act on
sessions answered, only after its event is on disk. What cannot be recorded is not done.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vault import config
from vault.acting import ITSELF, Acting, acting
from vault.clock import Clock
from vault.crypto import signed
from vault.crypto.chain import GENESIS, Chain, Mac, digest_of_details, link
from vault.crypto.keyring import Keyring
from vault.crypto.sealer import Sealer
from vault.errors import (
    AuditUnavailable,
    BoxError,
    BudgetSpent,
    PurposeMissing,
    StaleKeys,
    StoreUnavailable,
    UnknownKey,
)
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import AuditStore, Entry, SealedStore, Wanted
from vault.rates import Rates
from vault.records import Allowance, Checkpoint, End, Event, Linked, SealedRow
from vault.statement_file import StatementFile

CHECKPOINT_FORMAT = "tokenvault-checkpoint/1"

#: Salt bytes before the details, so that their digest in the clear tells nothing of them.
SALT_BYTES = 16

#: Actions by which what is held about a person leaves the vault.
REVEALS = ("profile.revealed", "profile.exported", "appdata.revealed")

#: Milliseconds after which a checkpoint is old.
CHECKPOINT_AGE = 300_000

#: Events read at a time.
PAGE = 500

Details = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event that waits for its place (``vault.ports.Entry``)."""

    audit: "Audit"
    at: int
    by: Acting
    action: str
    outcome: str
    user_token: str | None
    revealed_version: int | None
    details: Details | None = field(repr=False)

    def linked(self, end: End | None) -> Linked:
        return self.audit.linked(self, end)


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a person's profile was opened: for the person to see. ``fields`` None: all of it."""

    at: int
    by: str
    action: str
    purpose: str | None
    fields: list[str] | None


class Audit:
    """The audit trail of one vault.

    ``boxes`` are the details, as the registry of boxes has them; ``file`` is where checkpoints are kept outside of
    the database.
    """

    def __init__(
        self,
        store: AuditStore,
        boxes: SealedStore,
        keyring: Keyring,
        sealer: Sealer,
        tenant: str,
        clock: Clock,
        watch: KeyWatch,
        settings: config.Audit,
        file: StatementFile | None,
    ) -> None:
        self._store = store
        self._boxes = boxes
        self._keyring = keyring
        self._sealer = sealer
        self._tenant = tenant
        self._chain = Chain(keyring, tenant)
        self._clock = clock
        self._watch = watch
        self._settings = settings
        self._file = file
        self._overruns = Rates()
        #: Sequence and time of the last checkpoint that was made because the one before it was old.
        self._signed = (0, 0)
        #: Sequence of the last checkpoint in the file, once that was read.
        self._anchored: int | None = None

    def event(
        self,
        action: str,
        user_token: str | None = None,
        details: Details | None = None,
        *,
        outcome: str = "ok",
        revealed_version: int | None = None,
        by: Acting | None = None,
    ) -> Entry:
        """Return the event of an act on behalf of ``by``, or of whoever acts just now.

        ``details`` are sealed; none is a profile's value.
        """
        by = by or acting.get() or Acting()
        if by.metadata is not None:
            details = {**(details or {}), "request_metadata": by.metadata}
        return _Entry(self, self._clock.now(), by, action, outcome, user_token, revealed_version, details)

    async def record(self, *entries: Entry, allowance: Allowance | None = None) -> None:
        """Record events on their own. Raises ``AuditUnavailable``: then what they tell of is not to be answered."""
        try:
            await self._append(entries, allowance)
        except AuditUnavailable:
            raise
        except (StoreUnavailable, StaleKeys) as error:  # also for keys that reading them anew did not mend
            raise AuditUnavailable from error

    @with_fresh_keys
    async def _append(self, entries: Sequence[Entry], allowance: Allowance | None) -> None:
        await self._store.append(entries, allowance)

    async def require_writable(self) -> None:
        """Raise ``StaleKeys`` or ``AuditUnavailable`` if no event can be put behind the end as it is."""
        self._require_noted(await self._store.end())

    def require_purpose(self) -> None:
        """Raise ``PurposeMissing`` if a profile may be opened for a purpose only, and none was named."""
        by = acting.get()
        if self._settings.require_purpose and (by is None or by.purpose is None):
            raise PurposeMissing

    async def reveal(self, *entries: Entry) -> None:
        """Record that profiles are opened, one event each, before anybody is shown them.

        Raises ``BudgetSpent`` for an access key that has opened its share, ``AuditUnavailable``.
        """
        by = acting.get()
        if by is None or by.budget is None or by.key_id is None:
            await self.record(*entries)
            return
        asked = Allowance(by.key_id, len(entries), *by.budget, self._clock.now())
        try:
            await self.record(*entries, allowance=asked)
        except BudgetSpent as spent:
            if not self._overruns.take(by.key_id, 1, asked.now).wait:  # the trail is not for thieves to fill
                await self.record(self.event("access.refused", outcome=spent.code))
            raise

    # --- what there is ---

    async def events(self, wanted: Wanted, after: int, limit: int, offset: int = 0) -> list[Event]:
        """Return up to ``limit`` events behind the sequence ``after``, in order, but for the first ``offset``."""
        return await self._store.events(wanted, after, limit, offset)

    async def count(self, wanted: Wanted) -> int:
        """Return how many events there are."""
        return await self._store.count(wanted)

    @with_fresh_keys
    async def details(self, event: Event) -> Details | None:
        """Open the details of an event; None where there are none, or none any more. Raises ``BoxError``."""
        row = None if event.details_digest is None else await self._boxes.get(str(event.sequence))
        if row is None:
            return None
        return details_in(self._sealer.open(self._boxes.purpose, row.name, row.box))

    async def told(self, event: Event) -> Details | None:
        """Return the details; None too where they do not open, since one bad box must not hide a list."""
        try:
            return await self.details(event)
        except BoxError:
            return None

    async def presented(self, event: Event) -> Details:
        """Return an event as it is shown: all that it says, its details opened, and its link in hex."""
        said = {name: getattr(event, name) for name in event.__struct_fields__}
        for hidden in ("details_digest", "mac", "mac_version"):
            del said[hidden]
        return {**said, "details": await self.told(event), "link": event.link.hex()}

    async def openings(self, user_token: str, names: Mapping[str, str]) -> list[Opening]:
        """Return every time that a person's profile was opened, the oldest first. ``names`` are of access keys."""
        found, after = [], 0
        while events := await self.events(Wanted(user_token), after, PAGE):
            for event in events:
                if event.action in REVEALS and event.outcome == "ok":
                    fields = (await self.told(event) or {}).get("fields")
                    by = names.get(event.actor, event.actor)
                    found.append(Opening(event.at, by, event.action, event.purpose, fields))
            after = events[-1].sequence
        return found

    async def checkpoint(self) -> Checkpoint | None:
        """Sign the trail as it ends now; None if it is empty. Raises ``NoSuchKey`` without a signing key."""
        return await self._store.checkpoint(self._sign)

    async def anchor(self) -> None:
        """Have a checkpoint of the trail as it ends now, if the last is old, and every one outside of the database.

        Raises ``AuditUnavailable``.
        """
        end, now = await self._store.end(), self._clock.now()
        if end is not None and end.sequence != self._signed[0] and now - self._signed[1] >= CHECKPOINT_AGE:
            await self.checkpoint()
            self._signed = end.sequence, now
        if self._file is None:
            return
        if self._anchored is None:
            self._anchored = await asyncio.to_thread(_last_sequence, self._file)
        while fresh := await self._store.checkpoints(self._anchored, PAGE):
            await asyncio.to_thread(self._file.append, [one.statement for one in fresh])
            self._anchored = fresh[-1].sequence

    # --- the chain ---

    def linked(self, entry: _Entry, end: End | None) -> Linked:
        """Return the entry's event behind this end. Pure computation: it runs inside the transaction.

        Raises ``AuditUnavailable`` behind an end that no vault has noted, ``StaleKeys`` for one under a newer key.
        """
        self._require_noted(end)
        sequence = end.sequence + 1 if end else 1
        details, digest = None, None
        if entry.details:
            plaintext = secrets.token_bytes(SALT_BYTES) + msgspec.json.encode(entry.details)
            digest = digest_of_details(plaintext)
            details = SealedRow(
                str(sequence), sequence, *self._sealer.seal(self._boxes.purpose, str(sequence), plaintext)
            )
        by = entry.by
        event = Event(
            sequence, entry.at, self._tenant, by.key_id or ITSELF, entry.action, entry.outcome, entry.user_token,
            by.request_id or None, by.purpose, entry.revealed_version, digest, b"", b"", 0,
        )  # fmt: skip
        this = link(end.link if end else GENESIS, event.said, digest)
        event = msgspec.structs.replace(event, link=this, **_named(self._chain.mac(this)))
        ended = End(sequence, this, *self._chain.end(sequence, this))
        is_due = sequence % self._settings.checkpoint_every == 0
        return Linked(event, details, ended, self._sign(ended) if is_due else None)

    def _require_noted(self, end: End | None) -> None:
        """An event behind a forged end would be given a note that holds, and so hide what was cut off before it."""
        if end is None:
            return
        try:
            holds = self._chain.ends(end.sequence, end.link, Mac(end.mac, end.mac_version))
        except UnknownKey:
            raise StaleKeys from None
        if not holds:
            raise AuditUnavailable

    def _sign(self, end: End) -> str:
        statement = {
            "tenant": self._tenant,
            "sequence": end.sequence,
            "link": end.link.hex(),
            "at": self._clock.now(),
        }
        return signed.issue(self._keyring.active("signing"), CHECKPOINT_FORMAT, statement, one_line=True)


def _last_sequence(file: StatementFile) -> int:
    """Return the highest sequence in a file of checkpoints; what is not one counts for nothing here."""
    sequences = (msgspec.json.decode(line).get("sequence", 0) for line in file.read())
    return max((one for one in sequences if isinstance(one, int)), default=0)


def details_in(plaintext: bytes) -> Details:
    """Return the details that were sealed behind their salt."""
    details: Details = msgspec.json.decode(plaintext[SALT_BYTES:])
    return details


def _named(mac: Sequence[Any]) -> dict[str, Any]:
    return {"mac": mac[0], "mac_version": mac[1]}
