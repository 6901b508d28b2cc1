"""Retirement: a key version is destroyed only after it was proven, twice, that nothing needs it.

Stragglers are re-sealed first; a version without a row rests for a cool-down, in which a backup, a slow process or a
forgotten machine may still show up; then everything is counted and read back once more, and a certificate says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vault.clock import Clock
from vault.crypto import certificate
from vault.crypto.keyring import KeyState
from vault.crypto.sealer import Sealer
from vault.custody import Custody
from vault.errors import KeyMoveRefused, NoSuchKey
from vault.ports import Stores
from vault.progress import Progress
from vault.records import KeyRecord
from vault.reindex import Reindex
from vault.remac import Remac
from vault.sweep import Sweep, Verdict


@dataclass(frozen=True, slots=True)
class Retired:
    """What came of a retirement. ``wait`` is how many seconds of the cool-down are left; 0 when destroyed."""

    line: str
    version: int
    stragglers: int
    wait: float
    certificate: str | None = None


class Retirement:
    """Destroys key versions of one vault. ``cool_down`` is in seconds."""

    def __init__(
        self,
        custody: Custody,
        stores: Stores,
        sweep: Sweep,
        reindex: Reindex,
        remac: Remac,
        tenant: str,
        clock: Clock,
        progress: Progress,
        cool_down: int,
    ) -> None:
        self._custody = custody
        self._stores = stores
        self._sweep = sweep
        self._reindex = reindex
        self._remac = remac
        self._tenant = tenant
        self._clock = clock
        self._progress = progress
        self._cool_down = cool_down * 1000

    async def retire(self, line: str, version: int) -> Retired:
        """Destroy a disabled version, or say how long its cool-down still lasts.

        Raises ``KeyMoveRefused`` for a version in another state, or one that rows in quarantine need; then
        nothing was destroyed. Of a version that is destroyed already, returns the certificate.
        """
        async with self._custody.claim(f"retirement of version {version} of line {line}"):
            key = self._custody.keyring.get(line, version)
            if key is None:
                raise NoSuchKey(f"There is no version {version} of line '{line}'.")
            record = await self._custody.record(line, version)
            if key.state is KeyState.DESTROYED:
                return await self._finish(record)
            self._custody.keyring.moved(line, version, KeyState.DESTROYED)  # raises, with the reason
            signer = self._custody.keyring.active("signing")  # raises, before anything is done
            stragglers = await self._reseal_stragglers(line, version)
            await self._refuse_rows(line, version)
            now = self._clock.now()
            if record.empty_since is None or stragglers:
                record = await self._custody.note(line, version, empty_since=now)
            assert record.empty_since is not None  # noqa: S101 - just noted
            wait = record.empty_since + self._cool_down - now
            if wait > 0:
                return Retired(line, version, stragglers, wait / 1000)
            statement = await self._statement(record, now)
            text = certificate.issue(signer, statement)
            await self._refuse_rows(line, version)  # nothing came while all was read back
            # Certificate, key, date: a crash between leaves a certificate without effect, or the date to be added.
            record = await self._custody.note(line, version, certificate=text)
            await self._custody.destroy(line, version)
            self._progress.did(f"version {version} of line {line} is destroyed: nothing undoes this")
            return await self._finish(record, stragglers)

    async def _finish(self, record: KeyRecord, stragglers: int = 0) -> Retired:
        if record.destroyed_at is None:
            record = await self._custody.note(record.line, record.version, destroyed_at=self._clock.now())
        return Retired(record.line, record.version, stragglers, 0, record.certificate)

    async def _reseal_stragglers(self, line: str, version: int) -> int:
        """Take to the active key what is under the version after all; the key still opens here, and only here."""
        await self._custody.close(line, version)
        if line == "data":
            enabled = self._custody.keyring.moved(line, version, KeyState.RETIRING)
            return sum((await self._sweep.reseal([version], Sealer(enabled, self._tenant))).values())
        if line == "audit":
            enabled = self._custody.keyring.moved(line, version, KeyState.RETIRING)
            return (await self._remac.renew([version], enabled)).moved
        return await self._reindex.drop(version) if line == "index" else 0

    async def _refuse_rows(self, line: str, version: int) -> None:
        rows = (await self._custody.census(line)).get(version, {})
        if line == "audit" and any(rows.values()):
            raise KeyMoveRefused(
                f"{rows['audit_events']} events under version {version} of line 'audit' do not hold, so they could "
                "not be taken to another: see which with tokenvault audit verify. The version stays disabled."
            )
        if any(rows.values()):
            told = ", ".join(f"{count} in {store}" for store, count in rows.items() if count)
            raise KeyMoveRefused(
                f"Rows in quarantine still need version {version} of line '{line}' ({told}). Retry or discard "
                "them: tokenvault keys quarantine list"
            )

    async def _statement(self, record: KeyRecord, now: int) -> Mapping[str, Any]:
        """Count and read back everything once more; return what the certificate says."""
        rows = (await self._custody.census(record.line)).get(record.version, {})
        first = {"at": _time(record.empty_since), "rows": dict.fromkeys(rows, 0)}
        verdict = await self._sweep.verify(self._custody.keyring.active("data").version)
        self._progress.did(f"{sum(verdict.opened.values())} rows are read back and open without it")
        return {
            "line": record.line,
            "version": record.version,
            "fingerprint": record.fingerprint,
            "created_at": _time(record.created_at),
            "activated_at": _time(record.activated_at),
            "destroyed_at": _time(now),
            "censuses": [first, {"at": _time(now), "rows": rows}],
            "verify": _told(verdict),
        }


def write_certificate(folder: Path, retired: Retired) -> Path:
    """Write the certificate into the folder's ``certificates/``, 0644: it is public. Return its path."""
    assert retired.certificate is not None  # noqa: S101 - the caller has looked
    path = folder / "certificates" / f"{retired.line}-{retired.version}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(retired.certificate)
    return path


def _told(verdict: Verdict) -> Mapping[str, Any]:
    return {"rows": verdict.opened, "digest": verdict.digest}


def _time(milliseconds: int | None) -> str | None:
    """Return RFC 3339, UTC."""
    if milliseconds is None:
        return None
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
