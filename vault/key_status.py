"""The state of the keys: every line and version, its rows, who has loaded it, and what asks for the operator."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from vault.clock import Clock
from vault.crypto.keyring import LINES, KeyState
from vault.custody import Custody
from vault.ports import Stores
from vault.records import Claim, KeyRecord, Rotation
from vault.sweep import in_quarantine

#: The state of a version that rows name and the keyring lacks.
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One key version. ``rows`` is the census by store; times are milliseconds, ``age`` is in seconds."""

    version: int
    state: str
    fingerprint: str
    created_at: int
    age: int
    rows: dict[str, int]
    public_key: str | None
    compromised_at: int | None
    empty_since: int | None
    destroyed_at: int | None


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A serving process, and the versions that it has loaded, by line."""

    host: str
    pid: int
    seen_at: int
    versions: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """All there is to say. ``warnings`` are sentences, each with what to do."""

    lines: dict[str, list[VersionStatus]]
    quarantine: dict[str, int]
    processes: list[ProcessStatus]
    claim: Claim | None
    journal: list[Rotation]
    warnings: list[str]


async def key_status(custody: Custody, stores: Stores, clock: Clock, max_age: int) -> KeyStatus:
    """Return the state of the keys. ``max_age`` is in seconds: an older active key is warned about."""
    now = clock.now()
    records = {(record.line, record.version): record for record in await stores.keys.known()}
    lines = {line: await _versions(custody, line, records, now) for line in LINES}
    quarantine = {store.name: sum((await store.set_aside_census()).values()) for store in stores.sealed}
    processes = [
        ProcessStatus(one.host, one.pid, one.seen_at, msgspec.json.decode(one.versions))
        for one in await custody.processes()
    ]
    journal = await stores.rotations.journal(20)
    claim = await custody.holder()
    warnings = [*_old(lines, max_age), *_unfinished(lines, journal, claim), *_behind(custody, processes)]
    if sum(quarantine.values()):
        warnings.append(in_quarantine(sum(quarantine.values())))
    return KeyStatus(lines, quarantine, processes, claim, journal, warnings)


async def _versions(
    custody: Custody, line: str, records: Mapping[tuple[str, int], KeyRecord], now: int
) -> list[VersionStatus]:
    """Return every version of a line that the keyring has or rows name."""
    found = []
    for version, rows in (await custody.census(line)).items():
        key, record = custody.keyring.get(line, version), records.get((line, version))
        created_at = key.created_at if key else now
        found.append(
            VersionStatus(
                version,
                key.state if key else MISSING,
                key.fingerprint if key else "",
                created_at,
                (now - created_at) // 1000,
                rows,
                record.public_key if record else None,
                record.compromised_at if record else None,
                record.empty_since if record else None,
                record.destroyed_at if record else None,
            )
        )
    return found


def _old(lines: dict[str, list[VersionStatus]], max_age: int) -> list[str]:
    return [
        f"Version {one.version} of line {line} has been there for {one.age // 86_400} days, more than "
        f"{max_age // 86_400} (keyring.max_age): tokenvault keys rotate --line {line}"
        for line, versions in lines.items()
        for one in versions
        if one.state == KeyState.ACTIVE and one.age > max_age
    ]


def _unfinished(
    lines: dict[str, list[VersionStatus]], journal: list[Rotation], claim: Claim | None
) -> list[str]:
    if claim is not None:
        return [f"{claim.holder.rsplit(':', 1)[0]} is at work: {claim.what}."]
    begun = {entry.line for entry in journal if entry.finished_at is None}
    begun |= {line for line, versions in lines.items() for one in versions if one.state == KeyState.RETIRING}
    return [
        f"A rotation of line {line} is unfinished: tokenvault keys rotate --line {line}"
        for line in sorted(begun)
    ]


def _behind(custody: Custody, processes: list[ProcessStatus]) -> list[str]:
    return [
        f"Process {one.pid} on {one.host} has not loaded the keyring as it is now; its log says why."
        for one in processes
        if one.versions != custody.keyring.states()
    ]
