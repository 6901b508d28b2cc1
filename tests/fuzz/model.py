"""What a vault should hold, in plain dictionaries: the rules of the verbs once more, without stores, keys or boxes.

Whatever is asked of the real vault is asked of this too, and both have to say the same. Times are milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vault.session_life import TOUCH_STEP

Json = dict[str, Any]

#: A value that finds a profile: the indexed field, and the one spelling of the value.
Key = tuple[str, str]

#: The spellings that the steps use, and what they stand for (docs/format.md, "Blind index"); "" is not indexed.
SPELLINGS: dict[str, dict[str | int, str]] = {
    "login": {"ada": "ada", " ADA ": "ada", "Straße": "strasse", "STRASSE": "strasse", "": ""},
    "email": {"ada@example.org": "ada", "ADA@EXAMPLE.ORG": "ada", "bob@example.org": "bob", "  ": ""},
    "phone": {"(212) 555-0100": "nyc", "+12125550100": "nyc", "+44 20 7946 0958": "london"},
    "custom": {"7": "7", 7: "7", "Seven": "Seven", "seven": "seven"},
}

#: A claim that only the profile of its own person makes personal: the slug of this surname.
SURNAME, TELLING_ROLE = "Lovelace", "lovelace"

#: Sessions that one person may have.
MOST_SESSIONS = 3


@dataclass(slots=True)
class Profile:
    """A profile that has not been erased; it may have expired."""

    token: str
    content: Json
    revision: int
    created_at: int
    updated_at: int
    expires_at: int | None

    def lives(self, now: int) -> bool:
        """Whether it may be seen: dead at the very millisecond of its end."""
        return self.expires_at is None or now < self.expires_at

    def found_by(self) -> list[Key]:
        """Return what finds it, in the order of the fields."""
        return keys_of(self.content)


@dataclass(slots=True)
class Session:
    """A session that has not been ended; it may have expired."""

    session_id: str
    handle: str
    user_token: str | None
    claims: Json
    lifetime: int
    idle: int
    created_at: int
    authenticated_at: int
    last_seen_at: int
    expires_at: int
    idle_expires_at: int

    def lives(self, now: int) -> bool:
        """Whether it may be used."""
        return now < self.idle_expires_at

    def slide(self, now: int) -> None:
        """Be looked up: the idle window moves in steps, and at once where the last sight is in the future."""
        if not 0 <= now - self.last_seen_at < min(TOUCH_STEP, self.idle // 10):
            self.last_seen_at = now
            self.idle_expires_at = min(now + self.idle, self.expires_at)


@dataclass(slots=True)
class AccessKey:
    """An access key. ``verdicts`` are the ends of the half seconds for which a process may let it in unread."""

    text: str
    key_id: str
    expires_at: int | None
    revoked: bool = False
    verdicts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Kept:
    """What was answered to a request with an Idempotency-Key."""

    request: bytes
    token: str
    expires_at: int


@dataclass(slots=True)
class Model:
    """A vault as it should be. ``owners`` is by index key version, as the tags are."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    owners: dict[int, dict[Key, str]] = field(default_factory=lambda: {1: {}})
    kept: dict[str, Kept] = field(default_factory=dict)
    keys: list[AccessKey] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    session_ids: list[str] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)

    # --- profiles ---

    def living(self, token: str, now: int) -> Profile | None:
        """Return the profile that may be seen."""
        profile = self.profiles.get(token)
        return profile if profile and profile.lives(now) else None

    def taken(self, content: Json, now: int, by: str = "") -> str | None:
        """Return the first field whose value another living profile has, under any live index key."""
        for key in keys_of(content):
            for owned in self.owners.values():
                if key in owned and owned[key] != by and self.living(owned[key], now):
                    return key[0]
        return None

    def put(self, profile: Profile) -> None:
        """Keep a profile whose values are free, in place of what was kept under its token."""
        if profile.token not in self.profiles:
            self.tokens.append(profile.token)
        self._let_go(profile.token)
        self.profiles[profile.token] = profile
        for owned in self.owners.values():
            owned.update(dict.fromkeys(profile.found_by(), profile.token))

    def erase(self, token: str) -> None:
        """Forget a person: profile, values and sessions."""
        del self.profiles[token]
        self._let_go(token)
        for session in list(self.sessions_of(token)):
            del self.sessions[session.session_id]

    def found(self, key: Key, now: int) -> str | None:
        """Return whose value it is: the newest index key that knows an owner says."""
        for version in sorted(self.owners, reverse=True):
            token = self.owners[version].get(key)
            if token:
                return token if self.living(token, now) else None
        return None

    def collide(self, now: int) -> bool:
        """Whether two living profiles have one value, as they may where the clock was set back to before an end."""
        wanted = [
            key for profile in self.profiles.values() if profile.lives(now) for key in profile.found_by()
        ]
        return len(set(wanted)) < len(wanted)

    def reindex(self, version: int, now: int) -> None:
        """Give every living profile its values under one index key, and drop the others."""
        owned = self.owners.setdefault(version, {})
        for profile in self.profiles.values():
            if profile.lives(now):
                owned.update(dict.fromkeys(profile.found_by(), profile.token))
        self.owners = {version: owned}

    def _let_go(self, token: str) -> None:
        for version, owned in self.owners.items():
            self.owners[version] = {key: owner for key, owner in owned.items() if owner != token}

    # --- sessions ---

    def sessions_of(self, token: str) -> Iterator[Session]:
        """Yield a person's sessions, expired ones too."""
        return (session for session in self.sessions.values() if session.user_token == token)

    def live_session(self, session_id: str, now: int) -> Session | None:
        """Return the session that may be used."""
        session = self.sessions.get(session_id)
        return session if session and session.lives(now) else None

    def keep_session(self, session: Session) -> None:
        """Keep a session under its id of now."""
        self.sessions[session.session_id] = session
        self.session_ids.append(session.session_id)
        if session.handle not in self.handles:
            self.handles.append(session.handle)

    def end_of(self, token: str | None, wanted: int) -> int:
        """Return when a session ends that would end then: with its person at the latest."""
        profile = self.profiles.get(token or "")
        return wanted if profile is None or profile.expires_at is None else min(wanted, profile.expires_at)

    def refuses(self, token: str | None, claims: Json) -> bool:
        """Whether these claims may not stand beside this person's profile."""
        if "email" in claims:
            return True
        profile = self.profiles.get(token or "")
        own = profile is not None and profile.content.get("last_name") == SURNAME
        return own and claims.get("role") == TELLING_ROLE

    # --- housekeeping ---

    def sweep_profiles(self, now: int) -> None:
        """Erase who has expired, and forget old answers about profiles, as every start does too."""
        for token in [token for token, profile in self.profiles.items() if not profile.lives(now)]:
            self.erase(token)
        self.kept = {name: kept for name, kept in self.kept.items() if now < kept.expires_at}

    def sweep_sessions(self, now: int) -> None:
        """Forget sessions that have expired."""
        self.sessions = {name: session for name, session in self.sessions.items() if session.lives(now)}


def keys_of(content: Json) -> list[Key]:
    """Return the indexed values of a content, in the order of the fields."""
    return [
        (name, spellings[content[name]])
        for name, spellings in SPELLINGS.items()
        if content.get(name) is not None and spellings[content[name]]
    ]
