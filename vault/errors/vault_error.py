"""The root of the tree."""

from collections.abc import Mapping
from typing import ClassVar


class VaultError(Exception):
    """The vault could not do this."""

    code: ClassVar[str] = "vault_error"
    #: Whole seconds after which to try again, where that is known.
    retry_after: int | None = None

    def __init__(self, message: str | None = None, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message or type(self).__doc__ or self.code)
        #: What is wrong with each input field, by its path in the caller's own words.
        self.fields: Mapping[str, str] = fields or {}

    @property
    def message(self) -> str:
        """What happened and what to do next, in one sentence or two."""
        return str(self.args[0])
