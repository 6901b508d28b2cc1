"""Profiles as the verbs take them and give them out."""

from dataclasses import dataclass, field

import msgspec

from vault.errors import Duplicate, VaultError
from vault.masking import Content
from vault.ports import NewProfile
from vault.records import ProfileRow


@dataclass(frozen=True, slots=True)
class ProfileHead:
    """What there is to say of a profile without opening it. Times in milliseconds.

    One that slides ends ``sliding`` after its last use, and at ``ends_at`` if it has that.
    """

    token: str
    revision: int
    key_version: int
    created_at: int
    updated_at: int
    expires_at: int | None
    sliding: int | None = None
    ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """An opened profile; ``text`` is its content as JSON, as it was sealed."""

    head: ProfileHead
    text: bytes = field(repr=False)

    @property
    def content(self) -> Content:
        """The content, decoded anew."""
        content: Content = msgspec.json.decode(self.text)
        return content


@dataclass(frozen=True, slots=True)
class NewContent:
    """One profile of a batch: its content, for how many seconds it may live, and for how many unused.

    ``token`` is what a person who moves in from elsewhere was called there; None: a new one.
    """

    content: Content = field(repr=False)
    expires_in: int | None = None
    sliding: int | None = None
    token: str | None = None


class BatchEntry(msgspec.Struct, frozen=True):
    """What became of one profile of a batch: its token, or the code and fields of its refusal."""

    token: str | None = None
    code: str | None = None
    fields: dict[str, str] = {}


def head_of(row: ProfileRow) -> ProfileHead:
    """Return what there is to say of a row."""
    return ProfileHead(
        row.token, row.revision, row.key_version, row.created_at, row.updated_at, row.expires_at,
        row.sliding, row.ends_at,
    )  # fmt: skip


def entry_of(entry: NewProfile | VaultError, taken: str | None) -> BatchEntry:
    """Return what became of an entry; ``taken`` is the field that another profile has."""
    error = Duplicate(taken) if taken else entry
    if isinstance(error, VaultError):
        return BatchEntry(code=error.code, fields=dict(error.fields))
    return BatchEntry(token=error.row.token)
