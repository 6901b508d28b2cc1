"""What a reader sees of a session; and its claims, sealed and opened."""

import msgspec

from vault.crypto.sealer import Sealed, Sealer
from vault.errors import BoxError
from vault.records import SessionRow

#: Views that are kept, about 1 KB each, so that a busy session is opened once. Which session is alive is never
#: kept: it is judged each time, on the row that the store says is the present one.
MOST_VIEWS = 20_000


class SessionView(msgspec.Struct, gc=False):
    """A live session as its reader sees it. ``claims`` is JSON text; times are milliseconds.

    ``wire`` is room for the face to keep the words in which it tells the view, for the next who asks.
    """

    handle: str
    user_token: str | None
    claims: msgspec.Raw
    created_at: int
    authenticated_at: int
    last_seen_at: int
    expires_at: int
    idle_expires_at: int
    cache_for: int
    wire: bytes = b""

    def __repr__(self) -> str:
        return "<SessionView>"


class OpenedSession(msgspec.Struct, frozen=True):
    """A session with its id, which is shown this once."""

    session_id: str
    view: SessionView

    def __repr__(self) -> str:
        return "<OpenedSession>"


class SessionViews:
    """The views of one vault's sessions. ``cache_for`` is how many seconds a caller may reuse one, at most."""

    def __init__(self, sealer: Sealer, cache_for: int) -> None:
        self._sealer = sealer
        self._cache_for = cache_for
        self._kept: dict[str, tuple[SessionRow, SessionView]] = {}

    def of(self, row: SessionRow, now: int) -> SessionView:
        """Return the view of a session that is alive at ``now``; the kept one, if the row is the one it shows."""
        cache_for = min(self._cache_for, (row.idle_expires_at - now) // 1000)  # never past the session's end
        kept = self._kept.get(row.handle)
        if kept is not None and kept[0] is row and kept[1].cache_for == cache_for:
            return kept[1]
        view = self._view(row, msgspec.Raw(self.claims(row)), cache_for)
        if len(self._kept) >= MOST_VIEWS:
            del self._kept[next(iter(self._kept))]
        self._kept[row.handle] = row, view
        return view

    def listed(self, row: SessionRow, now: int) -> SessionView:
        """Return the view as ``of`` does; if the claims do not open, with null in their place."""
        try:
            return self.of(row, now)
        except BoxError:
            return self._view(row, msgspec.Raw(b"null"), 0)

    def forget(self, row: SessionRow) -> None:
        """Let go of a session that has ended, and of its claims."""
        self._kept.pop(row.handle, None)

    def forget_all(self) -> None:
        """Let go of everything that was opened: under another keyring it might not open."""
        self._kept.clear()

    def seal(self, handle: str, claims: bytes) -> Sealed:
        """Seal claims, given as JSON text. Bound to the handle, which a rotation keeps, not to the digest."""
        return self._sealer.seal("session", handle, claims)

    def claims(self, row: SessionRow) -> bytes:
        """Open a session's claims, as JSON text. Raises ``BoxError``."""
        return self._sealer.open("session", row.handle, row.box)

    def _view(self, row: SessionRow, claims: msgspec.Raw, cache_for: int) -> SessionView:
        return SessionView(
            row.handle,
            row.user_token,
            claims,
            row.created_at,
            row.authenticated_at,
            row.last_seen_at,
            row.expires_at,
            row.idle_expires_at,
            cache_for,
        )
