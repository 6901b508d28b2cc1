"""Former versions of profiles: documents of their person's, which end with it. A profile's version is its revision."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from vault.documents import Document, Documents
from vault.errors import RecordNotFound
from vault.ports import DocumentRow, Former
from vault.profile_views import Profile, ProfileHead

KIND = "version"


class Versions:
    """The former versions of one vault's profiles, ``most`` of each."""

    def __init__(self, documents: Documents, most: int) -> None:
        self._documents = documents
        self._most = most

    def after(self, profile: Profile, now: int) -> Former:
        """Return what a change at ``now`` leaves of this profile: it goes into the transaction of the change."""
        head = profile.head
        under = f"{KIND}/{head.token}/"
        if not self._most:
            return Former(under, None, 0)
        row = DocumentRow(f"{under}{head.revision}", head.token, b"", 0, now, now)
        said = {"profile": msgspec.Raw(profile.text), "updated_at": head.updated_at}
        return Former(under, self._documents.sealing(row, said), self._most)

    async def open(self, profile: Profile, version: int) -> Profile:
        """Return the profile as it was. Raises ``RecordNotFound``, ``BoxError``."""
        if version == profile.head.revision:
            return profile
        try:
            document = await self._documents.get(KIND, f"{profile.head.token}/{version}")
        except RecordNotFound:
            raise RecordNotFound("There is no such version of this profile.") from None
        return _former(document, profile)

    async def of(self, profile: Profile) -> list[Profile]:
        """Return all versions that there are, the first first and ``profile`` itself last. Raises ``BoxError``."""
        former = await self._documents.page(KIND, f"{profile.head.token}/")
        return [*(_former(document, profile) for document in former), profile]


def heads_in(documents: Iterable[Document], profile: Profile) -> list[ProfileHead]:
    """Return the heads of the former versions of this profile among its person's documents."""
    return [_former(one, profile).head for one in documents if one.kind == KIND]


def _former(document: Document, profile: Profile) -> Profile:
    head = replace(
        profile.head,
        revision=int(document.key.rpartition("/")[2]),
        key_version=document.key_version,
        updated_at=document.content["updated_at"],
    )
    return Profile(head, msgspec.json.encode(document.content["profile"]))
