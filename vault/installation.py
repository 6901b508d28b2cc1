"""A vault with all its nouns: what the faces are given, and the verbs that need two of them."""

from dataclasses import dataclass

from vault.access import Access
from vault.alarms import Alarms
from vault.app_data import AppData
from vault.approvals import Approvals
from vault.audit import Audit, Opening
from vault.bulk import Bulk
from vault.clock import Clock
from vault.config import Config
from vault.documents import Document, Documents
from vault.grants import Grants
from vault.groups import Groups
from vault.housekeeping import Housekeeping
from vault.named_sessions import NamedSessions
from vault.policies import Policies
from vault.profile_views import Profile
from vault.profiles import Profiles
from vault.roles import Roles
from vault.session_views import SessionView
from vault.sessions import Sessions
from vault.shares import Shares
from vault.tenants import Tenants
from vault.values import Values
from vault.wrapping import Wrapping


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held about a person."""

    profile: Profile
    sessions: list[SessionView]
    openings: list[Opening]
    documents: list[Document]


@dataclass(frozen=True, slots=True)
class Vault:
    """One tenant's vault. An installation may hold several; nothing in them is global."""

    tenant: str
    config: Config
    access: Access
    alarms: Alarms
    app_data: AppData
    approvals: Approvals
    audit: Audit
    bulk: Bulk
    documents: Documents
    grants: Grants
    groups: Groups
    named_sessions: NamedSessions
    policies: Policies
    profiles: Profiles
    roles: Roles
    sessions: Sessions
    shares: Shares
    values: Values
    housekeeping: Housekeeping
    clock: Clock
    wrapping: Wrapping
    #: The tenants of an installation; None in a tenant's own vault.
    tenants: "Tenants[Vault] | None" = None

    async def export(self, token: str) -> Export:
        """Return all that is held about a person, and who opened it (GDPR 15). Raises as ``Profiles.get``."""
        profile = await self.profiles.get(token, action="profile.exported")
        sessions = await self.sessions.of_person(token, whole=True)
        names = {key.id: key.name for key in (await self.access.list()).keys}
        documents = await self.documents.of_person(token)
        return Export(profile, sessions, await self.audit.openings(token, names), documents)
