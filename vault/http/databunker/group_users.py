"""The people of a group in Databunker's words: those whom the caller may see, as far as that."""

from marshmallow import fields

from vault.documents import Document
from vault.errors import Denied
from vault.groups import Membership
from vault.http.databunker.groups import grouprole
from vault.http.databunker.method import Call, Method, Said, page, page_of
from vault.http.databunker.references import reference, reference_of
from vault.http.databunker.users import user
from vault.policies import Decision


async def list_users(call: Call) -> Said:
    """Open a page of the profiles of those in a group; whom policies do not reach is left out."""
    await call.vault.bulk.enter(call.body["unlockuuid"])
    group = await call.vault.groups.find(reference_of("group", call.body))
    reached, total = await _reached(call, group)
    opened = await call.vault.bulk.read(call.body["unlockuuid"], [one.user_token for one, _ in reached])
    places = {one.user_token: (one, decision) for one, decision in reached}
    rows = []
    for profile in opened:
        member, call.decision = places[profile.head.token]
        rows.append({**user(call, profile), **grouprole(member)})
    return {"rows": rows, "total": total}


async def _reached(call: Call, group: Document) -> tuple[list[tuple[Membership, Decision]], int]:
    """Return a page of the members whom the caller reaches, with what is decided of each, and how many there are."""
    groups, (offset, limit) = call.vault.groups, page_of(call.body)
    if call.decision.question is None:
        page_of_members = await groups.members(group, offset, limit)
        return [(one, call.decision) for one in page_of_members], await groups.count(group)
    reached = []
    for one in await groups.members(group):
        try:
            reached.append((one, await call.vault.policies.about(call.decision, one.user_token)))
        except Denied:
            continue
    return reached[offset : offset + limit], len(reached)


METHODS = (
    Method(
        "BulkListGroupUsers",
        list_users,
        {"unlockuuid": fields.String(required=True), **reference("group"), **page()},
    ),
)
