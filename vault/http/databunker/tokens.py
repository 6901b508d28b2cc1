"""Tokens of single values in Databunker's words. docs/databunker.md says how the tokens of cards are made."""

from typing import Any

from marshmallow import fields, validate

from vault.errors import Invalid, RecordNotFound, VaultError
from vault.http.databunker.method import Call, Method, Said, Scalar, times
from vault.http.databunker.shown import shown_to
from vault.values import Kept, Lifetime, Value, Wanted

NOT_FOUND = "Token not found"


async def create(call: Call) -> Said:
    """Keep one value."""
    wanted = Wanted(call.body["tokentype"], call.body["record"])
    value = await call.vault.values.create(wanted, _lifetime(call), unique=call.body.get("unique", False))
    return _tokens(value)


async def create_bulk(call: Call) -> Said:
    """Keep many values; each is judged on its own."""
    _require_few(call, "records")
    wanted = [
        Wanted(one.get("tokentype"), one.get("record")) if isinstance(one, dict) else Wanted(None, None)
        for one in call.body["records"]
    ]
    found = await call.vault.values.create_many(
        wanted, _lifetime(call), unique=call.body.get("unique", False)
    )
    created = [_row(one.value) for one in found if isinstance(one, Kept) and one.is_new]
    duplicates = [_row(one.value) for one in found if isinstance(one, Kept) and not one.is_new]
    errors = [_error(n, one, wanted[n]) for n, one in enumerate(found) if isinstance(one, VaultError)]
    summary = {
        "created": len(created),
        "duplicates": len(duplicates),
        "errors": len(errors),
        "total": len(found),
    }
    return {
        "created": created,
        "duplicates": duplicates,
        "errors": errors,
        "num": len(created),
        "summary": summary,
    }


async def get(call: Call) -> Said:
    """Open a value, by either of its tokens."""
    try:
        value = await call.vault.values.get(call.body["token"])
    except RecordNotFound:
        raise RecordNotFound(NOT_FOUND) from None
    return {**shown_to(call, {"record": value.record}), "tokentype": value.tokentype}


async def delete(call: Call) -> Said:
    """Delete a value; neither of its tokens leads anywhere."""
    try:
        await call.vault.values.erase(call.body["token"])
    except RecordNotFound:
        raise RecordNotFound(NOT_FOUND) from None
    return None


async def list_bulk(call: Call) -> Said:
    """Open many values; unknown tokens are left out."""
    _require_few(call, "tokens")
    await call.vault.bulk.enter(call.body["unlockuuid"])
    opened = await call.vault.values.get_many(call.body["tokens"])
    rows = [{**_row(value), **shown_to(call, {"record": value.record})} for value in opened]
    return {"rows": rows, "total": len(rows)}


async def delete_bulk(call: Call) -> Said:
    """Delete many values; unknown tokens are passed over."""
    _require_few(call, "tokens")
    await call.vault.bulk.enter(call.body["unlockuuid"])
    return {"deleted": await call.vault.values.erase_many(call.body["tokens"])}


def _lifetime(call: Call) -> Lifetime:
    return Lifetime(call.seconds("finaltime"), call.seconds("slidingtime"))


def _tokens(value: Value) -> dict[str, Any]:
    """Return the tokens of a value: a card has two."""
    return {"tokenuuid": value.token} | ({"tokenbase": value.base} if value.base else {})


def _row(value: Value) -> dict[str, Any]:
    return {**_tokens(value), "tokentype": value.tokentype, "record": value.record}


def _error(number: int, refused: VaultError, wanted: Wanted) -> dict[str, Any]:
    """Return which record was refused, by its place (from 0), and why; not the record."""
    reasons = [f"{name} {sentence}" for name, sentence in refused.fields.items()]
    return {"index": number, "tokentype": wanted.tokentype, "reason": "; ".join(reasons) or refused.message}


def _require_few(call: Call, name: str) -> None:
    if len(call.body[name]) > (most := call.vault.config.limits.batch_profiles):
        raise Invalid(fields={name: f"at most {most} at a time"})


def _tokens_of_bulk() -> dict[str, fields.Field[Any]]:
    return {
        "unlockuuid": fields.String(required=True),
        "tokens": fields.List(Scalar(), required=True),
    }


METHODS = (
    Method(
        "TokenCreate",
        create,
        {
            "tokentype": fields.String(required=True),
            "record": fields.Raw(required=True),
            "unique": fields.Boolean(),
            **times(),
        },
    ),
    Method(
        "TokenCreateBulk",
        create_bulk,
        {
            "records": fields.List(
                fields.Raw(allow_none=True), required=True, validate=validate.Length(min=1)
            ),
            "unique": fields.Boolean(),
            **times(),
        },
        limit=lambda limits: limits.batch_body,
    ),
    Method("TokenGet", get, {"token": Scalar(required=True)}),
    Method("TokenDelete", delete, {"token": Scalar(required=True)}),
    Method("BulkListTokens", list_bulk, _tokens_of_bulk(), limit=lambda limits: limits.batch_body),
    Method("BulkDeleteTokens", delete_bulk, _tokens_of_bulk(), limit=lambda limits: limits.batch_body),
)
