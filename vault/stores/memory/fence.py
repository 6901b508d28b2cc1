"""The fence around key versions that are closed."""

from collections.abc import Sequence

from vault.errors import StaleKeys
from vault.records import Tag


class Fence:
    """What may not be written any more. Every store that writes a box or a tag asks it first."""

    def __init__(self) -> None:
        self.closed: set[tuple[str, int]] = set()
        self.required: set[int] = set()

    def check_box(self, key_version: int) -> None:
        """Refuse a box under a closed version."""
        if ("data", key_version) in self.closed:
            raise StaleKeys

    def check_mac(self, mac_version: int) -> None:
        """Refuse an event under a closed version."""
        if ("audit", mac_version) in self.closed:
            raise StaleKeys

    def check_tags(self, tags: Sequence[Tag], held: Sequence[Tag] = ()) -> None:
        """Refuse a closed version's tag, and one whose field lacks the tag of a newer version that is required.

        ``held`` is what the profile has already.
        """
        claimed = {(tag.field, tag.version) for tag in (*tags, *held)}
        for tag in tags:
            newer = (version for version in self.required if version > tag.version)
            if ("index", tag.version) in self.closed or any((tag.field, v) not in claimed for v in newer):
                raise StaleKeys
