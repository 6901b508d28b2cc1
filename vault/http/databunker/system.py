"""The installation in Databunker's words: its numbers, all that is held about a person, and the key that unlocks it."""

from marshmallow import fields

from vault import values
from vault.http.databunker.method import Call, Method, Said, identity
from vault.http.databunker.people import token_of
from vault.http.databunker.report import page_of, report_of


async def stats(call: Call) -> Said:
    """Count; of a tenant only what is its own."""
    tenants = call.home.tenants if call.vault is call.home else None
    census = await call.vault.housekeeping.count()
    return {
        "stats": {
            "numusers": sum(census.rows["profiles"].values()),
            "numtenants": 1 + (await tenants.count() if tenants else 0),
            "numtokens": await call.vault.documents.count(values.KIND),
            "numsessions": census.live_sessions,
        }
    }


async def report(call: Call) -> Said:
    """Return all that is held about a person (GDPR 15)."""
    return {"report": report_of(await call.vault.export(await token_of(call)), call)}


async def html_report(call: Call) -> Said:
    """Return the same as a page to print."""
    return {"html": page_of(report_of(await call.vault.export(await token_of(call)), call), call.now)}


async def wrapping_key(call: Call) -> Said:
    """Make another key that unlocks the keyring, for three recovery shares."""
    shares = [call.body[name] for name in _SHARES]
    return {"wrappingkey": await call.vault.wrapping.renew(shares)}


async def license_key(_: Call) -> Said:
    """Take note of nothing."""
    return {"message": "This vault needs no license key; nothing was changed."}


_SHARES = ("key1", "key2", "key3")

METHODS = (
    Method("SystemGetSystemStats", stats),
    Method("SystemGetUserReport", report, identity(), own=True),
    Method("SystemGetUserHTMLReport", html_report, identity(), own=True),
    Method(
        "SystemGenerateWrappingKey",
        wrapping_key,
        {name: fields.String(required=True) for name in _SHARES},
        installation=True,
    ),
    Method("SystemSetLicenseKey", license_key, installation=True),
)
