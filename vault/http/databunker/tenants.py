"""Tenants in Databunker's words. They are the installation's to make and to end: with the root token of ``default``."""

from typing import Any

from marshmallow import fields, validate

from vault.http.databunker.method import Call, Method, Number, Said, page, page_of
from vault.installation import Vault
from vault.tenants import Tenant, Tenants

#: Characters that name an organisation, and an e-mail address (RFC 5321, 4.5.3.1.3).
MOST_ORG, MOST_EMAIL = 200, 254


async def create(call: Call) -> Said:
    """Make a tenant; its root token is shown this once."""
    body = call.body
    tenant, token = await _tenants(call).create(body["tenantname"], body.get("tenantorg"), body.get("email"))
    return {"tenantid": tenant.id, "xtoken": token}


async def get(call: Call) -> Said:
    """Tell of a tenant."""
    return _shown(await _named(call))


async def update(call: Call) -> Said:
    """Rename a tenant, or change what is told of it."""
    body = call.body
    await _tenants(call).update(
        body["tenantid"], body.get("tenantname"), body.get("tenantorg"), body.get("email")
    )
    return None


async def delete(call: Call) -> Said:
    """End a tenant with all of its people."""
    await _tenants(call).delete(call.body["tenantid"])
    return None


async def list_all(call: Call) -> Said:
    """List tenants."""
    offset, limit = page_of(call.body)
    tenants = await _tenants(call).page()
    return {"total": len(tenants), "rows": [_shown(one) for one in tenants[offset : offset + limit]]}


def _tenants(call: Call) -> Tenants[Vault]:
    tenants = call.home.tenants
    assert tenants is not None  # noqa: S101 - every installation has some, if none but its own
    return tenants


async def _named(call: Call) -> Tenant:
    return await _tenants(call).get(call.body["tenantid"])


def _shown(tenant: Tenant) -> dict[str, Any]:
    told = {
        "tenantid": tenant.id,
        "tenantname": tenant.name,
        "tenantorg": tenant.org,
        "email": tenant.email,
        "creationtime": tenant.created_at // 1000,
    }
    return {name: value for name, value in told.items() if value is not None}


def _told() -> dict[str, fields.Field[Any]]:
    return {
        "tenantorg": fields.String(validate=validate.Length(max=MOST_ORG)),
        "email": fields.String(validate=validate.Length(max=MOST_EMAIL)),
    }


_ID = {"tenantid": Number(required=True)}

METHODS = (
    Method(
        "TenantCreate", create, {"tenantname": fields.String(required=True), **_told()}, installation=True
    ),
    Method("TenantGet", get, _ID, installation=True),
    Method("TenantUpdate", update, {**_ID, "tenantname": fields.String(), **_told()}, installation=True),
    Method("TenantDelete", delete, _ID, installation=True),
    Method("TenantListTenants", list_all, page(), installation=True),
)
