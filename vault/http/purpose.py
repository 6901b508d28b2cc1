"""Why a request is made, as its caller says it: for the audit trail, and for the person to read."""

from aiohttp import web

from vault.errors import Invalid, Malformed
from vault.http.json_body import decode
from vault.personal_data import detect

PURPOSE = "Vault-Purpose"
METADATA = "Vault-Request-Metadata"

MOST_PURPOSE = 128
MOST_METADATA = 4096
METADATA_DEPTH = 8


def purpose_of(request: web.Request) -> str | None:
    """Return the purpose. Raises ``Invalid`` for one that is too long, or that looks like personal data.

    It is kept in the clear, in a trail that nothing erases.
    """
    purpose = request.headers.get(PURPOSE)
    if purpose is not None:
        check_purpose(purpose, PURPOSE)
    return purpose


def check_purpose(purpose: str, field: str) -> None:
    """Raise ``Invalid``, naming the field, for a purpose that is not one."""
    if not 1 <= len(purpose) <= MOST_PURPOSE or not purpose.isprintable() or not purpose.isascii():
        raise Invalid(fields={field: f"must be 1 to {MOST_PURPOSE} printable ASCII characters"})
    if rule := detect(purpose):
        raise Invalid(fields={field: f"looks like personal data ({rule}); name a case or a task instead"})


def metadata_of(request: web.Request) -> dict[str, object] | None:
    """Return what the caller says of the request, a JSON object; it is kept sealed. Raises ``Invalid``."""
    text = request.headers.get(METADATA)
    if text is None:
        return None
    if len(text) > MOST_METADATA:
        raise Invalid(fields={METADATA: f"must be at most {MOST_METADATA} characters"})
    try:
        metadata = decode(text.encode("utf-8", "surrogateescape"), METADATA_DEPTH)
    except Malformed:
        metadata = None
    if not isinstance(metadata, dict):
        raise Invalid(
            fields={METADATA: f"must be a JSON object, nested at most {METADATA_DEPTH} levels deep"}
        )
    return metadata
