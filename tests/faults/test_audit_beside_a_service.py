"""The proof of the trail beside a service that writes it: what comes in meanwhile breaks nothing."""

import asyncio
from pathlib import Path

from vault import audit_desk
from vault.audit_proof import Verdict
from vault.config import Config
from vault.installation import Vault
from vault.progress import Silent

PROOFS = 80
PEOPLE = 20
WRITERS = 8


async def test_a_trail_that_grows_is_whole(vault: Vault, data: Path, config: Config) -> None:
    """People come, are opened and are erased without a pause, and each proof in between finds nothing wrong."""
    for number in range(PEOPLE):
        await vault.profiles.create({"n": number})
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            token = (await vault.profiles.create({"name": "Ada"})).token
            await vault.profiles.get(token, fields=["name"])
            await vault.profiles.erase(token)

    def prove() -> Verdict:
        return asyncio.run(audit_desk.verify(config, data, Silent()))

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())
        verdicts = [await asyncio.to_thread(prove) for _ in range(PROOFS)]
        stop.set()
    assert [verdict.findings for verdict in verdicts] == [[]] * PROOFS
    assert verdicts[0].last < verdicts[-1].last
    assert sum(verdict.gone for verdict in verdicts) > 0
