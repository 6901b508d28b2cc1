"""A vault in dicts, for demonstrations and tests: nothing outlives the process.

It belongs to one event loop, and no method waits for anything: each call runs from end to end undisturbed,
which is all the atomicity the contract asks for. A method that may refuse does so before its first change.
Look-ups without a key of their own scan, since a demonstration is small.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vault.ports import Stores
from vault.stores.memory.access import MemoryAccess
from vault.stores.memory.alarms import MemoryAlarms
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.documents import MemoryDocuments
from vault.stores.memory.fence import Fence
from vault.stores.memory.housekeeping import MemoryHousekeeping
from vault.stores.memory.keys import MemoryKeys
from vault.stores.memory.processes import MemoryProcesses
from vault.stores.memory.profiles import MemoryProfiles
from vault.stores.memory.rotations import MemoryRotations
from vault.stores.memory.sealed import MemorySealed
from vault.stores.memory.sessions import MemorySessions
from vault.stores.memory.unlocks import MemoryUnlocks
from vault.stores.memory.values import MemoryValues


@asynccontextmanager
async def open_stores(folder: Path | None, busy_timeout: float) -> AsyncIterator[Stores]:
    """Open empty stores. There is no file to put into a folder and no lock to wait for."""
    fence = Fence()
    audit = MemoryAudit(fence)
    unlocks = MemoryUnlocks(audit)
    access = MemoryAccess(fence, audit)
    profiles, sessions = MemoryProfiles(fence, audit), MemorySessions(fence)
    documents = MemoryDocuments(fence, audit, profiles)
    values = MemoryValues(fence, audit, documents)
    sealed = (
        MemorySealed("profiles", "profile", profiles.profile_boxes(), fence),
        MemorySealed("profile_answers", "answer", profiles.answer_boxes(), fence),
        MemorySealed("sessions", "session", sessions.session_boxes(), fence),
        MemorySealed("session_answers", "answer", sessions.answer_boxes(), fence),
        MemorySealed("audit_details", "event", audit.detail_boxes(), fence),
        MemorySealed("access_keys", "access", access.boxes(), fence),
        MemorySealed("documents", "document", documents.boxes(), fence),
    )
    yield Stores(
        profiles=profiles,
        sessions=sessions,
        access=access,
        alarms=MemoryAlarms(audit),
        audit=audit,
        unlocks=unlocks,
        documents=documents,
        values=values,
        keys=MemoryKeys(fence, sealed, (profiles, values), audit),
        processes=MemoryProcesses(),
        rotations=MemoryRotations(),
        sealed=sealed,
        housekeeping=MemoryHousekeeping(profiles, unlocks, documents, sessions),
    )
