"""A running process follows the keyring: it loads what an operator changes, proves it, and reports what it has."""

import asyncio
import functools
import os
import platform
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec
import structlog

from vault.clock import Clock
from vault.crypto.keyring import Keyring
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.sealer import Sealer
from vault.errors import KeyringError, StaleKeys, UnknownKey, VaultError
from vault.keys import left_behind, unproven
from vault.ports import KeyStore, ProcessStore
from vault.records import ServingProcess

#: Seconds between two looks at the file (one ``stat``), and between two reports to the database.
POLL = 0.25
BEAT = 3.0


class KeyWatch:
    """Follows one keyring file for one process. ``file`` is None for a vault in memory, whose keys do not change."""

    def __init__(
        self,
        file: KeyringFile | None,
        keyring: Keyring,
        sealer: Sealer,
        keys: KeyStore,
        processes: ProcessStore,
        clock: Clock,
    ) -> None:
        self._file = file
        self._keyring = keyring
        self._sealer = sealer
        self._keys = keys
        self._processes = processes
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._started_at = clock.now()
        self._id = secrets.token_hex(8)
        self._generation = file.generation if file else 0
        self._trouble = ""
        #: Called after the keyring has changed: whoever keeps something that was opened lets it go.
        self.on_change: list[Callable[[], None]] = []

    async def refresh(self) -> bool:
        """Load the keyring if the file is another than the one loaded; True if it was.

        Raises ``KeyringError`` for a file that cannot be read, or that is not this database's; the keys that are
        loaded then stay as they are.
        """
        if self._file is None or not self._is_behind(self._file):
            return False
        async with self._one_at_a_time:
            if not self._is_behind(self._file):
                return True  # another request has just done it
            newer = await asyncio.to_thread(self._file.read)  # unlocking may ask a service
            trouble = await unproven(self._keys, newer, self._sealer) + await left_behind(self._keys, newer)
            if trouble:
                raise KeyringError(" ".join(trouble))
            self._keyring.become(newer)
            self._generation = self._file.generation
            for forget in self.on_change:
                forget()
            structlog.get_logger().info("keyring.loaded", count=self._generation)
        return True

    async def report(self) -> None:
        """Tell the database which keyring this process has."""
        await self._processes.report(
            ServingProcess(
                self._id,
                platform.node(),
                os.getpid(),
                self._started_at,
                self._clock.now(),
                self._generation,
                msgspec.json.encode(self._keyring.states()).decode(),
            )
        )

    async def run(self) -> None:
        """Follow the file and report, until cancelled; the first report is out when this has begun to wait."""
        loop = asyncio.get_running_loop()
        reported_at = -BEAT
        try:
            while True:
                try:
                    if await self.refresh() or loop.time() - reported_at >= BEAT:
                        await self.report()
                        reported_at = loop.time()
                    self._trouble = ""
                except VaultError as error:
                    self._complain(error.code)
                except Exception as error:  # whatever nobody foresaw must not end the watch
                    self._complain(type(error).__name__)
                await asyncio.sleep(POLL)
        finally:
            try:
                await asyncio.shield(self._processes.forget(self._id))
            except VaultError:
                pass  # its report lapses

    def _is_behind(self, file: KeyringFile) -> bool:
        """Whether the file is not the one loaded; one that was read but not proven is tried again."""
        return file.has_changed() or file.generation != self._generation

    def _complain(self, trouble: str) -> None:
        """Log what is wrong, once as long as it stays the same."""
        if trouble != self._trouble:
            structlog.get_logger().error("keyring.not_loaded", error=trouble)
        self._trouble = trouble


class _Watching(Protocol):
    _watch: KeyWatch


Self = TypeVar("Self", bound=_Watching)
P = ParamSpec("P")
T = TypeVar("T")


def with_fresh_keys(
    verb: Callable[Concatenate[Self, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, T]]:
    """Make a verb of a noun that has ``_watch`` run again, once, with the keyring read anew.

    So no request fails because another process went on to another key first: to this one, the key of a box was
    unknown, or its own was closed, only for as long as it had not looked.
    """

    async def again(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await verb(self, *args, **kwargs)
        except (StaleKeys, UnknownKey):
            await self._watch.refresh()
        return await verb(self, *args, **kwargs)

    functools.update_wrapper(again, verb)
    return again
