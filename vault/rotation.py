"""Key rotation: the whole routine, resumable at every point, beside a running service.

New version -> every serving process has it -> active -> every process has that -> the old one is closed -> sweep ->
verify -> the old one is disabled. What each step found is in the journal; what interrupted it is finished by
the next run, which never begins another rotation on an unfinished one.
"""

from collections.abc import Sequence

import structlog

from vault.clock import Clock
from vault.crypto.keyring import LINES, KeyState, KeyVersion
from vault.custody import Custody
from vault.errors import Conflict, KeyMoveRefused, ProcessesBehind
from vault.journal import Journal, Report
from vault.ports import Stores
from vault.progress import Progress, counted
from vault.records import Rotation
from vault.reindex import Reindex
from vault.remac import Remac
from vault.sweep import Sweep, in_quarantine

#: Sweeps after which a verify pass must find nothing left to move: one, unless something writes past the vault.
ROUNDS = 3

#: Bytes of a file that is rewritten at the end of a rotation, while its writers wait.
REWRITE_UP_TO = 128 * 2**20

#: Seconds that an emergency waits for processes to load a keyring.
URGENT_PATIENCE = 2.0


class Rotations:
    """Rotates the lines of one vault.

    ``patience`` is how many seconds to wait for processes to load a keyring. A file of up to ``rewrite_up_to`` bytes
    is rewritten at the end.
    """

    def __init__(
        self,
        custody: Custody,
        stores: Stores,
        sweep: Sweep,
        reindex: Reindex,
        remac: Remac,
        clock: Clock,
        progress: Progress,
        patience: float = 60,
        rewrite_up_to: int = REWRITE_UP_TO,
    ) -> None:
        self._custody = custody
        self._stores = stores
        self._sweep = sweep
        self._reindex = reindex
        self._remac = remac
        self._journal = Journal(stores.rotations, clock)
        self._clock = clock
        self._progress = progress
        self._patience = patience
        self._rewrite_up_to = rewrite_up_to

    async def new_key(self, line: str) -> KeyVersion:
        """Add a pending version. Raises ``KeyMoveRefused`` while a rotation of the line is unfinished."""
        async with self._custody.claim(f"adding a key to line {line}"):
            self._refuse_second(line)
            return await self._custody.add(line)

    async def rotate(self, line: str, *, stolen: int | None = None) -> Report:
        """Do the whole routine for one line, or finish the one that was interrupted.

        In an emergency ``stolen`` is the version that is swept first; then processes that are behind are not insisted
        upon, whom the fence and their next read teach.

        Raises ``RotationHeld`` if another is at it, ``ProcessesBehind`` if a serving process does not load the
        new key in time, ``TagsCollide``, ``OutOfTime``. Each leaves a vault that serves as before, and the
        same call goes on.
        """
        async with self._custody.claim(f"rotation of line {line}"):
            await self._begin([line])
            return await self._rotate(line, stolen)

    async def rotate_all(self) -> list[Report]:
        """Rotate every line; after an interruption, finish only the lines that were begun. Raises as ``rotate``."""
        async with self._custody.claim("rotation of every line"):
            unfinished = await self._journal.unfinished()
            chosen = [line for line in LINES if line in unfinished] or list(LINES)
            await self._begin(chosen)  # all of them at once, so that none is rotated twice in one resumed run
            return [await self._rotate(line) for line in chosen]

    async def activate(self, line: str, version: int) -> None:
        """Let another version write, as undoing a rotation does: the sweep of the next then goes that way."""
        async with self._custody.claim(f"activation of version {version} of line {line}"):
            self._custody.keyring.moved(line, version, KeyState.ACTIVE)  # raises, before anything is done
            if line == "index":
                await self._claim_tags(version)
            await self._custody.activate(line, version)

    async def disable(self, line: str, version: int) -> None:
        """Disable a version that no row needs."""
        async with self._custody.claim(f"disabling version {version} of line {line}"):
            await self._custody.disable(line, version)

    async def enable(self, line: str, version: int) -> None:
        """Let a disabled version open again."""
        async with self._custody.claim(f"enabling version {version} of line {line}"):
            await self._custody.enable(line, version)

    # --- the steps ---

    async def _begin(self, chosen: Sequence[str]) -> None:
        """Write the lines into the journal, unless they are there unfinished."""
        unfinished = await self._journal.unfinished()
        for line in chosen:
            if line in unfinished:
                self._progress.did(f"going on with the rotation of line {line} that was interrupted")
                continue
            writing = (KeyState.ACTIVE, KeyState.RETIRING)
            old = [key.version for key in self._custody.keyring.of_line(line) if key.state in writing]
            await self._journal.begin(line, old)

    async def _rotate(self, line: str, stolen: int | None = None) -> Report:
        began_at = self._clock.now()
        entry = (await self._journal.unfinished())[line]
        target = await self._target(entry)
        entry = await self._journal.aim(entry, target.version)
        old = [int(version) for version in entry.from_versions.split()]
        report = Report(line, [one for one in old if one != target.version], target.version)
        await self._introduce(target, report, stolen)
        await self._retire_others(target, report, stolen)
        report.seconds = (self._clock.now() - began_at) / 1000
        await self._end(entry, report)
        return report

    async def _target(self, entry: Rotation) -> KeyVersion:
        """Return the version to rotate to: the one begun with, one that is pending, or a new one."""
        line, keyring = entry.line, self._custody.keyring
        begun = keyring.get(line, entry.to_version) if entry.to_version else None
        if begun is not None:
            # An operator may have undone the activation meanwhile: then the rows follow to the active one.
            return begun if begun.state is KeyState.PENDING else keyring.active(line)
        versions = keyring.of_line(line)
        for key in versions:
            if key.state is KeyState.PENDING:
                return key
        if any(key.state is KeyState.RETIRING for key in versions):
            return keyring.active(line)  # the rotation before was not finished: that comes first
        key = await self._custody.add(line)
        self._progress.did(
            f"version {key.version} of line {line} is made, pending: fingerprint {key.fingerprint}",
            f"tokenvault keys disable {line} {key.version}",
        )
        return key

    async def _introduce(self, target: KeyVersion, report: Report, stolen: int | None) -> None:
        """Make the target active, once every process can read what it will write, and see to it that all know."""
        line, version = target.line, target.version
        if target.state is KeyState.PENDING:
            await self._until_loaded(urgent=stolen is not None)
        if line == "index" and (target.state is KeyState.PENDING or await self._has_other_tags(version)):
            # Also for an active one: tags under others may be all there are, as in a database that was restored.
            report.moved["tags"] = await self._claim_tags(version)
        if target.state is KeyState.PENDING:
            old = self._custody.keyring.active(line).version
            await self._custody.activate(line, version)
            self._progress.did(
                f"version {version} of line {line} is active, version {old} is retiring",
                f"tokenvault keys activate {line} {old}",
            )
        await self._until_loaded(urgent=stolen is not None)

    async def _retire_others(self, target: KeyVersion, report: Report, stolen: int | None) -> None:
        """Take every row to the target, prove it, and disable the versions that none needs any more."""
        line, version = target.line, target.version
        others = [key for key in self._custody.keyring.of_line(line) if key.version != version]
        retiring = [key.version for key in others if key.state is KeyState.RETIRING]
        if line in ("data", "audit"):
            for old in retiring:
                await self._custody.close(line, old)  # from here on the sweep has an end
        if line == "data":
            await self._take_over(version, report, stolen)
        elif line == "audit":
            await self._renew_macs(version, report)
        for old in retiring:
            if line == "data" and (left := sum((await self._custody.openable(old)).values())):
                report.left.append(f"{left} rows are still under version {old}: run the same command again.")
                continue
            await self._custody.disable(line, old, report.quarantine)
            self._progress.did(
                f"version {old} of line {line} is disabled: it opens nothing",
                f"tokenvault keys enable {line} {old}",
            )
        if retiring:
            await self._until_loaded(urgent=stolen is not None)
        if line == "index":
            await self._drop_tags(version, report)
        if retiring or line == "index":
            report.traces = await self._stores.housekeeping.rewrite(self._rewrite_up_to)
        if not await self._stores.housekeeping.shred():
            report.left.append("A reader was in the way of cutting the WAL: run the same command again.")
        elif not report.traces:
            self._progress.did("what was overwritten is gone from the files")
        await self._note_empty(line)

    async def _take_over(self, version: int, report: Report, stolen: int | None) -> None:
        """Sweep and verify until a verify pass finds nothing left to move."""
        line = "data"
        for _ in range(ROUNDS):
            versions = [old for old in await self._custody.census(line) if old != version]
            versions.sort(key=lambda old: old != stolen)
            for store, count in (await self._sweep.reseal(versions)).items():
                report.moved[store] = report.moved.get(store, 0) + count
            self._progress.did(
                f"{counted(sum(report.moved.values()), 'row is', 'rows are')} re-sealed under version {version}"
            )
            verdict = await self._sweep.verify(version)
            report.verified, report.digest = verdict.opened, verdict.digest
            if not verdict.moved:
                break
        else:
            raise Conflict("Rows keep coming under older keys: something writes past the vault.")
        self._progress.did(f"{counted(sum(report.verified.values()), 'row opens', 'rows open')}, read back")
        report.quarantine = 0
        for sealed in self._stores.sealed:
            report.quarantine += sum((await sealed.set_aside_census()).values())
        if report.quarantine:
            report.left.append(in_quarantine(report.quarantine))

    async def _renew_macs(self, version: int, report: Report) -> None:
        """Put MACs under the version on all events; one event more takes the end of the trail along."""
        others = [old for old in await self._stores.audit.census() if old != version]
        moved, broken = await self._remac.renew(others)
        report.moved = {"audit_events": moved}
        await self._custody.tell("audit.macs_renewed", "audit", version)
        self._progress.did(f"{counted(moved, 'event has', 'events have')} a MAC under version {version}")
        if broken:
            report.quarantine = broken
            report.left.append(
                f"{counted(broken, 'event does', 'events do')} not hold: see which with tokenvault audit verify"
            )

    async def _claim_tags(self, version: int) -> int:
        """Give all that is found by tags its own under an index version; return how many. Raises ``TagsCollide``."""
        await self._stores.keys.reopen("index", version)
        await self._stores.keys.require(version)  # before the walk: whoever comes in behind it has claimed
        added = await self._reindex.claim_all(version)
        told = counted(added, "index tag is", "index tags are")
        self._progress.did(f"{told} added under version {version}, none is missing")
        return added

    async def _drop_tags(self, version: int, report: Report) -> None:
        """Delete the tags that nobody looks for any more, of versions that are disabled."""
        closed = await self._stores.keys.closed()
        used = (await self._stores.keys.versions_in_use())["index"]
        for key in self._custody.keyring.of_line("index"):
            if (
                key.version != version
                and not key.state.opens
                and (key.version in used or ("index", key.version) not in closed)
            ):
                await self._custody.close("index", key.version)
                dropped = await self._reindex.drop(key.version)
                if dropped:
                    self._progress.did(
                        f"{counted(dropped, 'old index tag')} deleted, under version {key.version}"
                    )
        report.verified = {"tags": (await self._stores.tag_census()).get(version, 0)}

    async def _note_empty(self, line: str) -> None:
        """Remember since when a disabled version has had no row: its cool-down begins."""
        census = await self._custody.census(line)
        for key in self._custody.keyring.of_line(line):
            if key.state is KeyState.DISABLED and not any(census.get(key.version, {}).values()):
                record = await self._custody.record(line, key.version)
                if record.empty_since is None:
                    await self._custody.note(line, key.version, empty_since=self._clock.now())

    async def _end(self, entry: Rotation, report: Report) -> None:
        counts = {"moved": report.moved, "verified": report.verified, "quarantine": report.quarantine}
        outcome = "something left" if report.left else "done"
        # What is in quarantine is not for the next run to finish; it asks for the operator.
        done = not report.left or bool(report.quarantine)
        await self._journal.end(entry, outcome, counts, report.digest, done=done)
        structlog.get_logger().info("keys.rotated", count=sum(report.moved.values()))

    async def _has_other_tags(self, version: int) -> bool:
        return any(count for v, count in (await self._stores.tag_census()).items() if v != version)

    async def _until_loaded(self, *, urgent: bool) -> None:
        """Wait for the serving processes. Raises ``ProcessesBehind`` naming those that do not come."""
        behind = await self._custody.laggards(URGENT_PATIENCE if urgent else self._patience, lambda _: None)
        if behind and urgent:
            self._progress.did(
                f"{counted(len(behind), 'serving process is', 'serving processes are')} behind: going on without"
            )
        elif behind:
            names = ", ".join(f"process {one.pid} on {one.host}" for one in behind)
            raise ProcessesBehind(
                f"{names} serves and has not loaded the keyring as it is now. Is it the same file for them, and "
                "can they unlock it? Their log says why not. Then run the same command again."
            )
        else:
            processes = await self._custody.processes()
            told = counted(len(processes), "serving process has", "serving processes have")
            self._progress.did(f"{told} loaded the keyring")

    def _refuse_second(self, line: str) -> None:
        """Refuse a new key while an older one still retires: it would leave rows under three."""
        for key in self._custody.keyring.of_line(line):
            if key.state is KeyState.RETIRING:
                raise KeyMoveRefused(
                    f"Version {key.version} of line '{line}' is still retiring. "
                    f"Finish its rotation first: tokenvault keys rotate --line {line}"
                )
