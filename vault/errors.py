"""Every way the vault says no.

One tree. Each class has a stable ``code`` for programs, and its docstring is its default message for people.
No message ever holds a profile value, a token, a session id or a key: errors travel to logs and to clients.
"""

from collections.abc import Mapping, Sequence
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


# --- the caller ---------------------------------------------------------------------------------------------


class Unauthenticated(VaultError):
    """A valid access key is needed: send it as 'Authorization: Bearer tvk_…'."""

    code = "unauthenticated"


class ScopeMissing(VaultError):
    """This access key lacks the scope that the call needs."""

    code = "scope_missing"


class NetworkRefused(VaultError):
    """This access key may not be used from where the request came from."""

    code = "network_refused"


class RateLimited(VaultError):
    """This access key makes more requests a minute than it may; try again after Retry-After."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        #: Seconds.
        self.retry_after = retry_after


class TooManyFailures(RateLimited):
    """Too many access keys from this address were refused; try again after Retry-After, with a valid one."""

    code = "too_many_failures"


class PurposeMissing(VaultError):
    """Say in the header Vault-Purpose why the profile is opened: this vault asks for it."""

    code = "purpose_missing"


class UnlockRefused(VaultError):
    """Reading in bulk needs an unlock of this access key that is not over: ask for one, with the reason."""

    code = "unlock_refused"


class BudgetSpent(RateLimited):
    """This access key has opened as many profiles as it may for now; try again after Retry-After."""

    code = "budget_spent"


# --- the input, and what is stored -------------------------------------------------------------------------


class Malformed(VaultError):
    """The request cannot be read."""

    code = "malformed"


class UnsupportedMediaType(VaultError):
    """The request body has the wrong content type."""

    code = "unsupported_media_type"


class TooLarge(VaultError):
    """The request body is larger than this call allows."""

    code = "too_large"


class Invalid(VaultError):
    """Something in the request is not allowed; each field is named beside this."""

    code = "invalid"


class ClaimRefused(Invalid):
    """A session may hold only short, declared claims that are not personal data; each is named beside this."""

    code = "claim_refused"


class PatchFailed(VaultError):
    """The patch does not fit the profile as it is now."""

    code = "patch_failed"


class IdempotencyKeyReused(VaultError):
    """This Idempotency-Key was used before with a different request; take a new one for a new request."""

    code = "idempotency_key_reused"


class ProfileNotFound(VaultError):
    """There is no such profile."""

    code = "profile_not_found"


class SessionNotFound(VaultError):
    """There is no such session."""

    code = "session_not_found"


class Duplicate(VaultError):
    """Another profile already has this value; the field is named beside this."""

    code = "duplicate"

    def __init__(self, field: str) -> None:
        super().__init__(fields={field: "already belongs to another profile"})
        self.field = field


class RevisionMismatch(VaultError):
    """The profile has changed since the revision named in If-Match; read it again."""

    code = "revision_mismatch"


class SessionLimit(VaultError):
    """This person has as many live sessions as the settings allow."""

    code = "session_limit"


class Conflict(VaultError):
    """Others keep changing this at the same moment; try again."""

    code = "conflict"


class AccessKeyNotFound(VaultError):
    """There is no access key with this id."""

    code = "access_key_not_found"


# --- the vault itself ---------------------------------------------------------------------------------------


class StoreUnavailable(VaultError):
    """The store cannot be used right now; try again in a moment."""

    code = "store_unavailable"


class AuditUnavailable(StoreUnavailable):
    """The audit trail cannot be written right now, and nothing is done that it does not show; try again in a moment."""

    code = "audit_unavailable"


class ConfigError(VaultError):
    """The settings are not usable."""

    code = "config_error"


class DataFolderError(VaultError):
    """The data folder is not usable."""

    code = "data_folder_error"


class AlreadyInitialised(DataFolderError):
    """This data folder already holds a vault; nothing was changed."""

    code = "already_initialised"


class KeyringError(VaultError):
    """The keyring is not usable."""

    code = "keyring_error"


class StaleKeys(VaultError):
    """This process has an older keyring than the rows need; try again in a moment."""

    code = "stale_keys"


class NoSuchKey(VaultError):
    """There is no such key version."""

    code = "no_such_key"


class KeyMoveRefused(VaultError):
    """A key version cannot go from its state to that one."""

    code = "key_move_refused"


class OutOfTime(VaultError):
    """The time to stop has come; what is left goes on with the same command."""

    code = "out_of_time"


class ProcessesBehind(VaultError):
    """A serving process has not loaded the keyring as it is now."""

    code = "processes_behind"


class TagsCollide(VaultError):
    """Two profiles have a value that has to be one's own."""

    code = "tags_collide"

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        #: User tokens of some of those profiles: for the operator's terminal, and so in no message.
        self.names = names


class StatementRefused(VaultError):
    """This is not a signed statement that holds."""

    code = "statement_refused"


class CertificateRefused(StatementRefused):
    """This is not a certificate that holds."""

    code = "certificate_refused"


class SealedFileRefused(VaultError):
    """This is not a sealed file that opens."""

    code = "sealed_file_refused"


class BackupRefused(VaultError):
    """This backup cannot be made or restored so; nothing was changed."""

    code = "backup_refused"


class NotInQuarantine(VaultError):
    """There is no row of this name in quarantine; list those that are: tokenvault keys quarantine list"""

    code = "not_in_quarantine"


class RotationHeld(VaultError):
    """Somebody else is changing keys."""

    code = "rotation_held"


class BoxError(VaultError):
    """A sealed box does not open."""

    code = "box_unreadable"


class MalformedBox(BoxError):
    """This is not a sealed box: its format byte or its length is wrong."""

    code = "box_malformed"


class UnknownKey(BoxError):
    """The box names a key version that the keyring does not hold or may not use."""

    code = "box_unknown_key"


class WrongKey(BoxError):
    """The box was sealed under another key, or for another record, table, tenant or version."""

    code = "box_wrong_key"


class TamperedBox(BoxError):
    """The box was sealed for this very record and has been altered since."""

    code = "box_tampered"
