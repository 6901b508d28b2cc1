"""Honey tokens: profiles that nobody should ever open, and the alarm when somebody does.

The one who opens it is shown the decoy like any other profile, and learns nothing. The alarm is on disk before that;
whom it may concern is told until they have heard.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from vault.acting import ITSELF, acting
from vault.audit import Audit
from vault.clock import Clock
from vault.crypto import signed
from vault.crypto.keyring import Keyring
from vault.errors import AccessKeyNotFound, BoxError, ProfileNotFound, StoreUnavailable
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import AlarmStore, Wanted
from vault.records import HoneyToken
from vault.tokens import is_user_token
from vault.webhook import Webhook

FORMAT = "tokenvault-alarm/1"

#: Alarms that are delivered in one go.
MOST_DELIVERED = 20


class Alarms:
    """The honey tokens of one vault. Without a ``webhook`` alarms are events and a metric alone.

    ``suspend`` is called with the id of the access key that is to rest, and the token that it has opened.
    """

    def __init__(
        self,
        store: AlarmStore,
        audit: Audit,
        keyring: Keyring,
        clock: Clock,
        watch: KeyWatch,
        webhook: Webhook | None,
        suspend: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._audit = audit
        self._keyring = keyring
        self._clock = clock
        self._watch = watch
        self._webhook = webhook
        self._suspend = suspend
        self._delivering = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Alarms that this process has raised, and those that nobody has heard of yet, as of the last try.
        self.raised = 0
        self.undelivered = 0

    @with_fresh_keys
    async def plant(self, token: str, *, suspends: bool) -> HoneyToken:
        """Make a honey token of a profile. With ``suspends`` whoever opens it loses the access key.

        Raises ``ProfileNotFound`` for what is no user token: it would be kept in the trail, in the clear.
        """
        if not is_user_token(token):
            raise ProfileNotFound
        honey = HoneyToken(token, suspends, self._clock.now())
        await self._store.plant(honey, [self._audit.event("honey.planted", token)])
        return honey

    @with_fresh_keys
    async def remove(self, token: str) -> None:
        """Make an ordinary profile of it again. Raises ``ProfileNotFound``."""
        if not await self._store.remove(token, [self._audit.event("honey.removed", token)]):
            raise ProfileNotFound("There is no such honey token.")

    async def list(self) -> list[HoneyToken]:
        """Return all honey tokens, the oldest first."""
        return await self._store.list()

    async def touched(self, token: str) -> None:
        """Raise the alarm if this is a honey token; it is on disk when this returns. Raises ``StoreUnavailable``.

        So is the suspension of the access key: whoever dies in between has not shown the decoy, and the next to ask
        for it suspends.
        """
        honey = await self._store.planted(token)
        if honey is None:
            return
        by = acting.get()
        key_id = by.key_id if by else None
        await self._store.ring(self._audit.event("alarm.honey_token", token))
        if honey.suspends and key_id:
            with suppress(AccessKeyNotFound, BoxError):  # the demo's, or one whose row lets nobody in by now
                await self._suspend(key_id, token)
        self.raised += 1
        structlog.get_logger().error("alarm.honey_token", key_id=key_id or ITSELF)
        task = asyncio.create_task(self.deliver(), name="alarm")
        self._tasks.add(task)  # else nothing holds it
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish the deliveries that were begun; what nobody heard of is told by the next process."""
        await asyncio.gather(*self._tasks)

    async def deliver(self) -> None:
        """Tell the webhook of each alarm that it has not heard of; what fails is tried again at the next call."""
        with suppress(StoreUnavailable):
            async with self._delivering:
                for sequence in await self._store.undelivered(MOST_DELIVERED):
                    if not await self._deliver(sequence):
                        break
                self.undelivered = len(await self._store.undelivered(MOST_DELIVERED))

    async def _deliver(self, sequence: int) -> bool:
        events = await self._audit.events(Wanted(), sequence - 1, 1)
        if not events or events[0].sequence != sequence:  # taken out of the trail: that shows there
            structlog.get_logger().error("alarm.event_missing")
        elif self._webhook is not None:
            event = events[0]
            told = {"sequence": sequence, "at": event.at, "tenant": event.tenant, "actor": event.actor,
                    "action": event.action}  # fmt: skip
            statement = signed.issue(self._keyring.active("signing"), FORMAT, told)
            if not await self._webhook.post(statement):
                structlog.get_logger().warning("alarm.not_delivered")
                return False
        await self._store.delivered(sequence, self._clock.now())
        return True
