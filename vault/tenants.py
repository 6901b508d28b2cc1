"""Tenants: vaults of their own inside an installation, each with its own keys and files, so nothing leaks across.

The installation's vault keeps a document of each. A tenant is there only while its document says "ready": one that is
being made, or whose end has begun, is an unknown tenant to everybody, and whoever comes next finishes its end.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

import structlog

from vault.audit import Audit
from vault.documents import Content, Document, Documents, NewDocument
from vault.errors import Invalid, NameTaken, RecordNotFound, TenantNotFound, VaultError
from vault.grants import KIND as TOKENS
from vault.grants import digest
from vault.ports import Entry
from vault.tenant_vaults import Grounds, TenantVaults, V

#: The tenant that is always there: the installation's own vault.
DEFAULT = "default"

#: Kinds of documents: a tenant by its name; and, by a token's digest, which tenant issued it.
KIND, ISSUED = "tenant", "tenant-token"

#: How clients know these refusals.
DUPLICATE, NOT_FOUND = "Duplicate tenant name", "The tenant record was not found"

#: A label of a host name (RFC 1123, 2.1) in lower case; of digits alone it would be taken for an id.
_NAME = re.compile(r"(?![0-9]+\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant. ``org`` and ``email`` are for people."""

    id: int
    name: str
    org: str | None
    email: str | None = field(repr=False)
    created_at: int


class Tenants(Generic[V]):
    """The tenants of an installation, whose vaults are opened when they are first asked for."""

    def __init__(self, documents: Documents, audit: Audit, grounds: Grounds[V]) -> None:
        self._documents = documents
        self._audit = audit
        self._grounds = grounds
        self._vaults = TenantVaults(grounds)
        #: How many there were when ``round`` last looked.
        self.counted = 0

    @property
    def opened(self) -> Sequence[V]:
        """The vaults that are open in this process."""
        return self._vaults.opened

    async def of(self, name: str) -> V:
        """Return the vault of a tenant. Raises ``TenantNotFound``, ``StoreUnavailable`` where it does not open."""
        if not is_name(name):
            raise TenantNotFound
        try:
            document = _ready(await self._documents.get(KIND, name))
        except RecordNotFound:
            raise TenantNotFound from None
        return await self._vault(document.id)

    async def of_token(self, digest: str) -> str | None:
        """Return the name of the tenant that issued a token, None for those of ``default`` and unknown ones."""
        try:
            issued = await self._documents.get(ISSUED, digest)
            return _ready(await self._documents.get_by_id(KIND, issued.content["tenant"])).key
        except RecordNotFound:
            return None

    # --- what the root of the installation does ---

    async def create(self, name: str, org: str | None = None, email: str | None = None) -> tuple[Tenant, str]:
        """Make a tenant; return it and its root token, which is shown once.

        Raises ``Invalid`` for the name, ``NameTaken``, ``StoreUnavailable``, ``KeyringError``; then there is none.
        """
        checked(name)
        async with self._grounds.alone():
            await self._clear()
            document = await self._make(name, {"state": "making", "org": org, "email": email, "root": None})
            try:
                vault = await self._vault(document.id)
                token = await vault.grants.issue("root", forever=True)
                made = await self._documents.change(
                    document,
                    lambda said: {**said, "state": "ready", "root": digest(token)},
                    [self._event("tenant.created", document)],
                )
            except BaseException:
                await asyncio.shield(self._end(document))
                raise
            await self._grounds.settle(str(document.id))
        return _tenant(made), token

    async def get(self, tenant_id: int) -> Tenant:
        """Return a tenant. Raises ``RecordNotFound``."""
        return _tenant(await self._by_id(tenant_id))

    async def find(self, name: str) -> Tenant:
        """Return a tenant by its name. Raises ``RecordNotFound``."""
        try:
            return _tenant(_ready(await self._documents.get(KIND, name)))
        except RecordNotFound:
            raise RecordNotFound(NOT_FOUND) from None

    async def update(
        self, tenant_id: int, name: str | None = None, org: str | None = None, email: str | None = None
    ) -> Tenant:
        """Rename a tenant, or say otherwise whose it is; tokens stay. Raises ``RecordNotFound``, as ``create``."""
        document = await self._by_id(tenant_id)
        if name is not None and name != document.key:
            checked(name)
        new = {key: value for key, value in (("org", org), ("email", email)) if value is not None}
        try:
            changed = await self._documents.change(
                document, lambda said: {**said, **new}, [self._event("tenant.updated", document)], key=name
            )
        except NameTaken:
            raise NameTaken(DUPLICATE) from None
        return _tenant(changed)

    async def renew_root(self, tenant_id: int) -> str:
        """Put another root token in the place of a tenant's; return it, once. Raises ``RecordNotFound``."""
        async with self._grounds.alone():
            document = await self._by_id(tenant_id)
            vault = await self._vault(document.id)
            token = await vault.grants.issue("root", forever=True)
            before = document.content["root"]
            await self._documents.change(document, lambda said: {**said, "root": digest(token)})
            event = vault.audit.event("access.revoked", None, {"access_key": f"xtoken-{before[:16]}"})
            await vault.documents.remove_all(TOKENS, [before], [event])
            await self._documents.remove_all(ISSUED, [before])
        return token

    async def delete(self, tenant_id: int) -> None:
        """End a tenant: its keys first, so that from then on nothing opens its data, and all of its files.

        Raises ``RecordNotFound``; ``StoreUnavailable`` where it is dead, and its files are still to go.
        """
        async with self._grounds.alone():
            document = await self._by_id(tenant_id)
            ending = await self._documents.change(
                document, lambda said: {**said, "state": "ending"}, [self._event("tenant.deleted", document)]
            )
            await asyncio.shield(self._end(ending))

    async def page(self, offset: int = 0, limit: int = -1) -> list[Tenant]:
        """Return tenants in the order in which they came. ``limit`` -1: all."""
        found = [_tenant(one) for one in await self._documents.page(KIND) if _is_ready(one)]
        return found[offset:] if limit < 0 else found[offset : offset + limit]

    async def count(self) -> int:
        """Count the tenants, without ``default``."""
        return len(await self.page())

    # --- their vaults ---

    async def run(self, interval: float) -> None:
        """Finish what was interrupted, and keep every tenant's vault open and no other's, until cancelled.

        An open vault sweeps what has ended in it; a process that nobody asked for a tenant has to do that as well.
        """
        while True:
            try:
                await self.round()
            except VaultError as error:
                structlog.get_logger().error("tenants.failed", code=error.code)
            except Exception as error:  # a round that nobody foresaw to fail must not be the last one
                structlog.get_logger().error("tenants.failed", error=type(error).__name__)
            await asyncio.sleep(interval)

    async def round(self) -> None:
        """Do so once."""
        documents = await self._documents.page(KIND)
        ready = {str(one.id) for one in documents if _is_ready(one)}
        if len(ready) < len(documents) or self._vaults.ids - ready:
            async with self._grounds.alone():  # nobody is at it now, here or in another process
                await self._clear()
                ready = {str(one.id) for one in await self._documents.page(KIND)}
                for gone in self._vaults.ids - ready:
                    await self._vaults.end(gone)
        self.counted = len(ready)
        for tenant in sorted(ready):
            try:
                await self._vault(int(tenant))
            except VaultError:
                pass  # it was logged, and the others are not to wait for this one

    async def close(self) -> None:
        """Close every tenant's vault."""
        await self._vaults.close()

    async def _vault(self, tenant: int) -> V:
        return await self._vaults.get(
            str(tenant), lambda digest, expires_at: self._remember(tenant, digest, expires_at)
        )

    async def _remember(self, tenant: int, digest: str, expires_at: int | None) -> None:
        """Keep which tenant a token is of, for those who send no more than the token."""
        await self._documents.add(NewDocument(ISSUED, digest, {"tenant": tenant}, None, expires_at))

    # --- their documents ---

    async def _make(self, name: str, content: Content) -> Document:
        """Keep the document and make the files under its number; numbers that an older installation left are passed."""
        while True:
            try:
                document = await self._documents.add(NewDocument(KIND, name, content))
            except NameTaken:
                raise NameTaken(DUPLICATE) from None
            try:
                await self._grounds.make(str(document.id))
            except FileExistsError:
                await self._documents.remove(KIND, name)
            except BaseException:
                await asyncio.shield(self._end(document))
                raise
            else:
                return document

    async def _clear(self) -> None:
        """End whatever was interrupted while it was made or ended. Only for who is ``alone``."""
        for document in await self._documents.page(KIND):
            if not _is_ready(document):
                await self._end(document)

    async def _end(self, document: Document) -> None:
        await self._vaults.end(str(document.id))
        await self._grounds.destroy(str(document.id), unsettled=document.content["state"] == "making")
        issued = [one for one in await self._documents.page(ISSUED) if one.content["tenant"] == document.id]
        await self._documents.remove_all(ISSUED, [one.key for one in issued])
        await self._documents.remove_all(KIND, [document.key])

    async def _by_id(self, tenant_id: int) -> Document:
        try:
            return _ready(await self._documents.get_by_id(KIND, tenant_id))
        except RecordNotFound:
            raise RecordNotFound(NOT_FOUND) from None

    def _event(self, action: str, document: Document) -> Entry:
        return self._audit.event(action, None, {"tenant": document.id})


async def ready(documents: Documents) -> dict[str, str]:
    """Return the names of the tenants that are there, by their ids.

    Raises ``RecordNotFound`` where one is that does not open: its folder must not be taken for nobody's.
    """
    found = await documents.page(KIND)
    if len(found) < await documents.count(KIND):
        raise RecordNotFound(
            "A tenant's document does not open, or was altered: see the log and 'check --deep'."
        )
    return {str(one.id): one.key for one in found if _is_ready(one)}


def is_name(text: str) -> bool:
    """Whether a tenant may be called so."""
    return _NAME.fullmatch(text) is not None


def checked(name: str) -> str:
    """Return the name of a tenant that is to be. Raises ``Invalid``, ``NameTaken``."""
    if not is_name(name):
        raise Invalid(
            fields={"tenantname": "at most 63 of a-z, 0-9 and hyphens between them, and not digits alone"}
        )
    if name == DEFAULT:
        raise NameTaken(DUPLICATE)
    return name


def _is_ready(document: Document) -> bool:
    return bool(document.content["state"] == "ready")


def _ready(document: Document) -> Document:
    """Return it, if it is of a tenant that is there. Raises ``RecordNotFound``."""
    if not _is_ready(document):
        raise RecordNotFound
    return document


def _tenant(document: Document) -> Tenant:
    said = document.content
    return Tenant(document.id, document.key, said["org"], said["email"], document.created_at)
