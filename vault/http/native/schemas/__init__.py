"""The wire of the native API: what is read is validated by these, and the OpenAPI document is made from them."""

from vault.http.native.schemas.audit import (
    AppData,
    AuditEvent,
    AuditExportQuery,
    AuditHeaders,
    AuditPage,
    AuditQuery,
    Export,
    Opening,
    Share,
)
from vault.http.native.schemas.bulk import BulkList, BulkRead, NewUnlock, OpenedPage, OpenedProfiles, Unlock
from vault.http.native.schemas.problem import Problem
from vault.http.native.schemas.profiles import (
    BatchAnswer,
    BatchEntry,
    EntryError,
    ErasureReceipt,
    FoundToken,
    IfMatch,
    JsonPatch,
    Lookup,
    MergePatch,
    NewProfile,
    NewProfiles,
    OpenedProfile,
    ProfileHead,
    ProfileQuery,
    Replacement,
    Signer,
)
from vault.http.native.schemas.sessions import (
    ClaimChanges,
    KeepQuery,
    ListedSession,
    NewSession,
    OpenedSession,
    Rotation,
    SessionAnswer,
    SessionIdHeader,
    SessionList,
)

__all__ = [
    "AppData", "AuditEvent", "AuditExportQuery", "AuditHeaders", "AuditPage", "AuditQuery", "BatchAnswer",
    "BatchEntry", "BulkList", "BulkRead", "ClaimChanges", "EntryError", "ErasureReceipt", "Export",
    "FoundToken", "IfMatch", "JsonPatch", "KeepQuery", "ListedSession", "Lookup", "MergePatch",
    "NewProfile", "NewProfiles", "NewSession", "NewUnlock", "OpenedPage", "OpenedProfile", "OpenedProfiles",
    "OpenedSession", "Opening", "Problem", "ProfileHead", "ProfileQuery", "Replacement", "Rotation",
    "SessionAnswer", "SessionIdHeader", "SessionList", "Share", "Signer", "Unlock",
]  # fmt: skip
