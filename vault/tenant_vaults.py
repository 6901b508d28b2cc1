"""The open vaults of tenants in one process: each opened when it is first asked for, and once for all who ask."""

import asyncio
from collections.abc import Sequence, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, Protocol, TypeVar

import structlog

from vault.acting import by_itself
from vault.audit import Audit
from vault.documents import Documents
from vault.errors import StoreUnavailable, VaultError
from vault.grants import Grants, Remember

#: Seconds for which a tenant that does not open is not tried again: anybody may name it.
REST = 5.0


class Tenanted(Protocol):
    """What tenants need of a vault."""

    @property
    def grants(self) -> Grants:
        """Its callers' tokens."""
        ...

    @property
    def documents(self) -> Documents:
        """Its documents."""
        ...

    @property
    def audit(self) -> Audit:
        """Its audit trail."""
        ...


V = TypeVar("V", bound=Tenanted)
V_co = TypeVar("V_co", bound=Tenanted, covariant=True)


class Grounds(Protocol[V_co]):
    """Where tenants lie, by their ids."""

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Be the only one, of all processes, who makes or ends tenants."""
        ...

    async def make(self, tenant: str) -> None:
        """Make keys and files. Raises ``FileExistsError``, having changed nothing, where something lies there."""
        ...

    async def settle(self, tenant: str) -> None:
        """Note that the tenant is there: from now on only its own end destroys it."""
        ...

    def open(self, tenant: str, remember: Remember) -> AbstractAsyncContextManager[V_co]:
        """Open a tenant's vault until the end of the context."""
        ...

    async def destroy(self, tenant: str, *, unsettled: bool) -> None:
        """Destroy the keys, then whatever else is there; what was begun is finished by the next call.

        With ``unsettled`` nothing is touched but what was never settled. Raises ``StoreUnavailable``.
        """
        ...


class TenantVaults(Generic[V]):
    """Vaults by their tenants' ids."""

    def __init__(self, grounds: Grounds[V]) -> None:
        self._grounds = grounds
        self._openings: dict[str, asyncio.Task[V]] = {}
        self._stacks: dict[str, AsyncExitStack] = {}
        self._rest_until: dict[str, float] = {}

    @property
    def ids(self) -> Set[str]:
        """Whose vaults are open, or about to be."""
        return self._openings.keys()

    @property
    def opened(self) -> Sequence[V]:
        """The vaults that are open."""
        return [self._openings[tenant].result() for tenant in self._stacks if tenant in self._openings]

    async def get(self, tenant: str, remember: Remember) -> V:
        """Return the open vault; whoever comes meanwhile waits for the same opening.

        Raises ``StoreUnavailable`` where it does not open.
        """
        if self._rest_until.get(tenant, 0) > asyncio.get_running_loop().time():
            raise StoreUnavailable
        opening = self._openings.get(tenant)
        if opening is None:
            # What the vault does by itself from now on is not the doing of whoever came first.
            with by_itself():
                opening = asyncio.create_task(self._open(tenant, remember), name=f"tenant-{tenant}")
            self._openings[tenant] = opening
        return await asyncio.shield(opening)

    async def end(self, tenant: str) -> None:
        """Close one, if it is open."""
        if opening := self._openings.pop(tenant, None):
            await asyncio.wait([opening])
        if stack := self._stacks.pop(tenant, None):
            await stack.aclose()

    async def close(self) -> None:
        """Close all."""
        for tenant in list(self._openings):
            await self.end(tenant)

    async def _open(self, tenant: str, remember: Remember) -> V:
        stack = AsyncExitStack()
        try:
            vault = await stack.enter_async_context(self._grounds.open(tenant, remember))
        except Exception as error:
            if self._openings.get(tenant) is asyncio.current_task():  # nobody has let go of it meanwhile
                del self._openings[tenant]
            self._rest_until[tenant] = asyncio.get_running_loop().time() + REST
            code = error.code if isinstance(error, VaultError) else type(error).__name__
            structlog.get_logger().error("tenant.not_opened", code=code, where=tenant)
            raise StoreUnavailable from error
        self._rest_until.pop(tenant, None)
        self._stacks[tenant] = stack
        return vault
