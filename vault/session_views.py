"""What a reader sees of a session; and its box, which holds the claims and what the row must not lie about."""

import msgspec
import structlog
from msgspec.structs import replace

from vault.crypto.sealer import Sealer
from vault.errors import BoxError, SessionNotFound
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


class _Bound(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The columns that are sealed as well, so that whoever can write to the file but has no key cannot change them.

    Not ``epoch``, which is read when a session is opened and never again; nor last sight and idle end, which move
    with each touch and reach no further than these allow.
    """

    digest: bytes
    user_token: str | None
    lifetime: int
    idle_timeout: int
    created_at: int
    authenticated_at: int
    expires_at: int


class SessionContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The plaintext of a session's box, JSON (docs/format.md, "Sessions").

    ``named`` is the id under which a caller keeps a session of its own naming; ``claims`` is then its data.
    """

    bound: _Bound
    claims: msgspec.Raw
    named: str | None = None

    def __repr__(self) -> str:
        return "<SessionContent>"


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(SessionContent)

#: What is shown for claims that are not.
_HIDDEN = msgspec.Raw(b"null")


class SessionViews:
    """The views of one vault's sessions. ``cache_for`` is how many seconds a caller may reuse one, at most."""

    def __init__(self, sealer: Sealer, cache_for: int) -> None:
        self._sealer = sealer
        self._cache_for = cache_for
        self._kept: dict[str, tuple[SessionRow, SessionView]] = {}

    def of(self, row: SessionRow, now: int) -> SessionView:
        """Return the view of a session that is alive at ``now``; the kept one, if the row is the one it shows.

        The data of a session under an id of the caller's own is not shown. Raises as ``claims``.
        """
        cache_for = min(self._cache_for, (row.idle_expires_at - now) // 1000)  # never past the session's end
        kept = self._kept.get(row.handle)
        if kept is not None and kept[0] is row and kept[1].cache_for == cache_for:
            return kept[1]
        content = self.content(row)
        view = self._view(row, content.claims.copy() if content.named is None else _HIDDEN, cache_for)
        if len(self._kept) >= MOST_VIEWS:
            del self._kept[next(iter(self._kept))]
        self._kept[row.handle] = row, view
        return view

    def listed(self, row: SessionRow, now: int, *, unopened: bool, whole: bool) -> SessionView:
        """Return the view as ``of`` does, or with all that there is if ``whole``.

        Where the row was altered, null is in place of the claims; where the box does not open as well, if
        ``unopened``; else raises ``BoxError``.
        """
        try:
            return self._view(row, msgspec.Raw(self.claims(row)), 0) if whole else self.of(row, now)
        except (SessionNotFound, BoxError) as error:
            if isinstance(error, BoxError) and not unopened:
                raise
            return self._view(row, _HIDDEN, 0)

    def prove(self, row: SessionRow) -> None:
        """Raise as ``claims`` if the row is not as it was sealed; one whose view is kept was looked at before."""
        kept = self._kept.get(row.handle)
        if kept is None or kept[0] is not row:
            self.claims(row)

    def forget(self, row: SessionRow) -> None:
        """Let go of a session that has ended, and of its claims."""
        self._kept.pop(row.handle, None)

    def forget_all(self) -> None:
        """Let go of everything that was opened: under another keyring it might not open."""
        self._kept.clear()

    def seal(self, row: SessionRow, claims: bytes, named: str | None = None) -> SessionRow:
        """Return the row with a box of these claims (JSON text), of the id if it is the caller's own, and of what the
        row says now.

        The box is bound to the handle, which a rotation keeps, and to the digest by what is in it.
        """
        content = _ENCODER.encode(SessionContent(_bound(row), msgspec.Raw(claims), named))
        box, key_version = self._sealer.seal("session", row.handle, content)
        return replace(row, box=box, key_version=key_version)

    def claims(self, row: SessionRow) -> bytes:
        """Open a session's claims, as JSON text. Raises as ``content``."""
        return bytes(self.content(row).claims)

    def content(self, row: SessionRow) -> SessionContent:
        """Open a session's box.

        Raises ``BoxError``; and ``SessionNotFound`` where the row is not as it was sealed.
        """
        plaintext = self._sealer.open("session", row.handle, row.box)
        try:
            content = _DECODER.decode(plaintext)
        except msgspec.DecodeError:  # sealed before rows were bound: nothing vouches for this one
            content = None
        # A touch sets the idle end to just this, so any later one was put there by somebody else.
        latest = min(row.expires_at, row.last_seen_at + row.idle_timeout)
        if content is None or content.bound != _bound(row) or row.idle_expires_at > latest:
            structlog.get_logger().error("session.row_altered")
            raise SessionNotFound
        return content

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


def _bound(row: SessionRow) -> _Bound:
    return _Bound(
        row.digest,
        row.user_token,
        row.lifetime,
        row.idle_timeout,
        row.created_at,
        row.authenticated_at,
        row.expires_at,
    )
