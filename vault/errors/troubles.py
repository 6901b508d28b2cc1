"""What is wrong with the vault itself: its stores, its files, its keys, its boxes."""

from collections.abc import Sequence

from vault.errors.vault_error import VaultError


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
