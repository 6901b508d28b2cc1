"""A vault with all its nouns: what the faces are given, and the verbs that need two of them."""

from dataclasses import dataclass

from vault.access import Access
from vault.config import Config
from vault.housekeeping import Housekeeping
from vault.profiles import Profile, Profiles
from vault.session_views import SessionView
from vault.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held about a person."""

    profile: Profile
    sessions: list[SessionView]


@dataclass(frozen=True, slots=True)
class Vault:
    """One tenant's vault. An installation may hold several; nothing in them is global."""

    tenant: str
    config: Config
    access: Access
    profiles: Profiles
    sessions: Sessions
    housekeeping: Housekeeping

    async def export(self, token: str) -> Export:
        """Return all that is held about a person (GDPR 15). Raises ``ProfileNotFound``."""
        return Export(await self.profiles.get(token), await self.sessions.of_person(token))
