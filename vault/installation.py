"""A vault with all its nouns: what the faces are given, and the verbs that need two of them."""

from dataclasses import dataclass

from vault.access import Access
from vault.alarms import Alarms
from vault.audit import Audit, Opening
from vault.bulk import Bulk
from vault.config import Config
from vault.housekeeping import Housekeeping
from vault.profile_views import Profile
from vault.profiles import Profiles
from vault.session_views import SessionView
from vault.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held about a person."""

    profile: Profile
    sessions: list[SessionView]
    openings: list[Opening]


@dataclass(frozen=True, slots=True)
class Vault:
    """One tenant's vault. An installation may hold several; nothing in them is global."""

    tenant: str
    config: Config
    access: Access
    alarms: Alarms
    audit: Audit
    bulk: Bulk
    profiles: Profiles
    sessions: Sessions
    housekeeping: Housekeeping

    async def export(self, token: str) -> Export:
        """Return all that is held about a person, and who opened it (GDPR 15). Raises as ``Profiles.get``."""
        profile = await self.profiles.get(token, action="profile.exported")
        sessions = await self.sessions.of_person(token)
        names = {key.id: key.name for key in (await self.access.list()).keys}
        return Export(profile, sessions, await self.audit.openings(token, names))
