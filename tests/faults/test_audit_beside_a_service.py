"""The proof of the trail beside a service that writes it: what comes in meanwhile breaks nothing."""

import asyncio
from pathlib import Path

from vault import audit_desk
from vault.audit_proof import Verdict
from vault.config import Config
from vault.installation import Vault
from vault.progress import Silent

PEOPLE = 20
WRITERS, ROUNDS = 8, 40


async def test_a_trail_that_grows_is_whole(vault: Vault, data: Path, config: Config) -> None:
    """People come, are opened and are erased without a pause, and each proof in between finds nothing wrong."""
    for number in range(PEOPLE):
        await vault.profiles.create({"n": number})

    async def write() -> None:
        for _ in range(ROUNDS):
            token = (await vault.profiles.create({"name": "Ada"})).token
            await vault.profiles.get(token, fields=["name"])
            await vault.profiles.erase(token)

    def prove() -> Verdict:
        return asyncio.run(audit_desk.verify(config, data, Silent()))

    writing = asyncio.gather(*(write() for _ in range(WRITERS)))
    verdicts = []
    while not writing.done():
        verdicts.append(await asyncio.to_thread(prove))
    await writing
    assert [verdict.findings for verdict in verdicts] == [[]] * len(verdicts)
    assert verdicts[0].last < verdicts[-1].last
    assert sum(verdict.gone for verdict in verdicts) > 0
