from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vault.ports import ProfileStore, SessionStore, Stores
from vault.stores import open_stores


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Empty stores of each back-end in turn."""
    async with open_stores(f"{request.param}:", tmp_path, 5) as opened:
        yield opened


@pytest.fixture
def profiles(stores: Stores) -> ProfileStore:
    """The profile store of each back-end in turn."""
    return stores.profiles


@pytest.fixture
def sessions(stores: Stores) -> SessionStore:
    """The session store of each back-end in turn."""
    return stores.sessions
