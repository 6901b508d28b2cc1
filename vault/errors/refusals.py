"""What is refused to a caller: who may not, what cannot be read, what is not there."""

from vault.errors.vault_error import VaultError

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


class Denied(VaultError):
    """This token may not do that."""

    code = "denied"


class SwitchedOff(VaultError):
    """This call is switched off in the settings."""

    code = "switched_off"


class RecordNotFound(VaultError):
    """There is no such record."""

    code = "record_not_found"


class NameTaken(VaultError):
    """Another record has this name."""

    code = "name_taken"


class RequestClosed(VaultError):
    """This request was decided before."""

    code = "request_closed"


class TenantNotFound(VaultError):
    """There is no such tenant."""

    code = "tenant_not_found"
