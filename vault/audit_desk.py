"""The auditor's desk: proves a vault's trail without a service."""

from pathlib import Path

from vault.audit_proof import AuditProof, Verdict
from vault.clock import SystemClock
from vault.config import Config
from vault.crypto import signed
from vault.crypto.keyring import KeyState
from vault.progress import Progress
from vault.statement_file import StatementFile
from vault.wiring import DEFAULT_TENANT, Opened, open_files


async def verify(config: Config, folder: Path, progress: Progress, tenant: str = DEFAULT_TENANT) -> Verdict:
    """Read the whole trail and the checkpoints beside the database. Raises ``DataFolderError``, ``KeyringError``."""
    async with open_files(config, folder, tenant, SystemClock()) as opened:
        stores = opened.stores
        boxes = next(store for store in stores.sealed if store.name == "audit_details")
        proof = AuditProof(
            stores.audit, boxes, opened.sealer, opened.keyring, tenant, await _signers(opened), progress
        )
        return await proof.verify(StatementFile(folder / config.audit.checkpoints).read())


async def signers(config: Config, folder: Path, tenant: str = DEFAULT_TENANT) -> set[str]:
    """Return the public keys (base64) of a vault's signing keys, destroyed ones too. Raises as ``verify``."""
    async with open_files(config, folder, tenant, SystemClock()) as opened:
        return await _signers(opened)


async def _signers(opened: Opened) -> set[str]:
    """Return the public keys of the signing keys: from the keys themselves, and of destroyed ones as it was noted."""
    signers = {
        signed.public_key(key)
        for key in opened.keyring.of_line("signing")
        if key.state is not KeyState.DESTROYED
    }
    destroyed = {
        key.fingerprint for key in opened.keyring.of_line("signing") if key.state is KeyState.DESTROYED
    }
    known = await opened.stores.keys.known()
    return signers | {one.public_key for one in known if one.public_key and one.fingerprint in destroyed}
