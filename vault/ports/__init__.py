"""What a store promises. The docstrings are the contract; tests/stores/ runs one suite over every back-end.

Common to all methods: an acknowledged write is durable (it survives SIGKILL and power loss, except in the
memory back-end); a call either happens whole or not at all; a cancelled call leaves no transaction open;
``StoreUnavailable`` is raised when the technology fails, and never a driver's own error. Stores judge
liveness only where atomicity needs it, with the ``now`` they are given; everything else is floor 5's.

Whatever writes a box or a tag raises ``StaleKeys``, and changes nothing, where its key version was closed
(``KeyStore.close``): the caller's keyring is behind and has to be read anew.
"""

from collections import Counter
from dataclasses import dataclass

from vault.ports.access import AccessStore
from vault.ports.alarms import AlarmStore
from vault.ports.answers import AlreadyAnswered, AnswerKeeper, AnswerStore
from vault.ports.audit import AuditStore, Entry, Wanted
from vault.ports.documents import DocumentRow, DocumentStore, Former, Sealing
from vault.ports.housekeeping import StoreHousekeeping
from vault.ports.keys import KeyStore
from vault.ports.processes import ProcessStore
from vault.ports.profiles import NewProfile, ProfileStore
from vault.ports.rotations import RotationStore
from vault.ports.sealed import SealedStore
from vault.ports.sessions import SessionStore
from vault.ports.tags import Claimed, Collision, TaggedStore
from vault.ports.unlocks import UnlockStore
from vault.ports.values import NewValue, RenewedValue, ValueStore

__all__ = [
    "AccessStore",
    "AlarmStore",
    "AlreadyAnswered",
    "AnswerKeeper",
    "AnswerStore",
    "AuditStore",
    "Claimed",
    "Collision",
    "DocumentRow",
    "DocumentStore",
    "Entry",
    "Former",
    "KeyStore",
    "NewProfile",
    "NewValue",
    "ProcessStore",
    "ProfileStore",
    "RenewedValue",
    "RotationStore",
    "SealedStore",
    "Sealing",
    "SessionStore",
    "StoreHousekeeping",
    "Stores",
    "TaggedStore",
    "UnlockStore",
    "ValueStore",
    "Wanted",
]


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one vault. ``sealed`` is the registry of every place where a box is kept."""

    profiles: ProfileStore
    sessions: SessionStore
    access: AccessStore
    alarms: AlarmStore
    audit: AuditStore
    unlocks: UnlockStore
    documents: DocumentStore
    values: ValueStore
    keys: KeyStore
    processes: ProcessStore
    rotations: RotationStore
    sealed: tuple[SealedStore, ...]
    housekeeping: StoreHousekeeping

    @property
    def tagged(self) -> tuple[TaggedStore, ...]:
        """Every place where blind-index tags are kept."""
        return self.profiles, self.values

    async def tag_census(self) -> dict[int, int]:
        """Return how many tags there are under each index key version, over all places."""
        counts: Counter[int] = Counter()
        for store in self.tagged:
            counts.update(await store.tag_census())
        return dict(counts)
