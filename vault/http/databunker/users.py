"""Users: profiles in Databunker's words."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import marshmallow
import msgspec
from marshmallow import fields

from vault.errors import (
    Denied,
    Duplicate,
    Invalid,
    ProfileNotFound,
    RecordNotFound,
    SwitchedOff,
    TooLarge,
    VaultError,
)
from vault.http.databunker.groups import Place, place_of, roles_of
from vault.http.databunker.method import Call, Method, Number, Said, Scalar, identity, times
from vault.http.databunker.people import BadUuid, token_of
from vault.http.databunker.references import reference
from vault.http.databunker.shown import shown_to
from vault.patches import json_patch, merge_patch
from vault.profile_views import BatchEntry, NewContent, Profile
from vault.tokens import is_user_token

#: People of one call that are written about at a time: they share transactions, and one sync of the ledger.
AT_ONCE = 100

#: Longer than any setting.
MOST_SECONDS = 2**31

T = TypeVar("T")
X = TypeVar("X")

_NEW_USER = {"profile": fields.Dict(required=True), **reference("group"), **reference("role")}
_RECORD = marshmallow.Schema.from_dict(_NEW_USER, name="NewUser")(unknown=marshmallow.EXCLUDE)


async def create(call: Call) -> Said:
    """Keep a profile, and put its person into a group if one is named.

    ``usertoken`` is ours: whoever moves people in keeps what they were called (scripts/import_databunker.py).
    """
    token = call.body.get("usertoken")
    if token is not None and call.grant.kind != "root":
        raise Denied
    if token is not None and not is_user_token(token):
        raise BadUuid
    place, (expires_in, sliding) = await place_of(call, call.body), _lifetimes(call)
    head = await call.vault.profiles.create(call.body["profile"], expires_in, sliding=sliding, token=token)
    if place:
        await _join(call, head.token, place)
    return {"token": head.token}


async def create_bulk(call: Call) -> Said:
    """Keep many profiles, each judged on its own; partial success is success."""
    records, (expires_in, sliding) = call.body["records"], _lifetimes(call)
    _require_few(call, records)
    news: list[NewContent | VaultError] = []
    places: list[Place | None] = []
    for record in records:
        place = None
        try:
            loaded = _load(record)
            place = await place_of(call, loaded)
            news.append(NewContent(loaded["profile"], expires_in, sliding))
        except (Invalid, RecordNotFound) as refused:
            news.append(refused)
        places.append(place)
    created: list[Any] = []
    errors: list[Any] = []
    joining: list[tuple[str, Place]] = []
    results = await call.vault.profiles.create_many(news)
    for record, place, result in zip(records, places, results, strict=True):
        profile = record.get("profile") if isinstance(record, dict) else None
        if result.token is None:
            errors.append({"profile": profile, "reason": _reason(result)})
            continue
        created.append({"token": result.token, "profile": profile})
        if place:
            joining.append((result.token, place))
    await _some_at_once(lambda one: _join(call, *one), joining)
    return {"created": created, "errors": errors}


async def get(call: Call) -> Said:
    """Open a profile, or a former version of it."""
    version = call.body.get("version") or None
    profile = await call.vault.profiles.get(await token_of(call), version=version)
    return await with_roles(call, user(call, profile))


async def update(call: Call) -> Said:
    """Merge into a profile (RFC 7396)."""
    merged = call.body["profile"]
    await call.vault.profiles.change(await token_of(call), lambda content: merge_patch(content, merged), None)
    return None


async def patch(call: Call) -> Said:
    """Change parts of a profile (RFC 6902)."""
    operations = call.body["patch"]
    await call.vault.profiles.change(
        await token_of(call), lambda content: json_patch(content, operations), None
    )
    return None


async def delete(call: Call) -> Said:
    """Erase a person."""
    await call.vault.profiles.erase(await token_of(call))
    return None


async def delete_bulk(call: Call) -> Said:
    """Erase many people; those who are unknown are passed over."""
    users = call.body["users"]
    _require_few(call, users)
    tokens: dict[str, None] = {}
    for named in users:
        with suppress(ProfileNotFound):
            tokens[await token_of(call, named)] = None
    return {"deleted_count": sum(await _some_at_once(lambda token: _was_erased(call, token), list(tokens)))}


async def search(call: Call) -> Said:
    """Find people by a value that may be of any indexed field."""
    if not call.vault.config.databunker.list_users:
        raise SwitchedOff("UserSearch is disabled")
    await call.vault.bulk.enter(call.body["unlockuuid"])
    value = call.body["identity"]
    tokens = []
    for field in ("email",) if "@" in value else ("login", "phone", "custom"):
        with suppress(ProfileNotFound):
            tokens.append(await call.vault.profiles.lookup(field, value))
    opened = await call.vault.profiles.get_many(tokens)
    return {"rows": [await with_roles(call, user(call, profile)) for profile in opened]}


async def list_versions(call: Call) -> Said:
    """List the versions of a profile that there are."""
    versions = await call.vault.profiles.versions(await token_of(call))
    return {
        "versions": [
            {
                "version": one.head.revision,
                "optime": one.head.updated_at // 1000,
                # The wire's, and no security: who is shown but a part of a profile is given that of this part, since
                # a digest would tell whether the rest was guessed.
                "md5": hashlib.md5(
                    msgspec.json.encode(shown_to(call, one.content)), usedforsecurity=False
                ).hexdigest(),
            }
            for one in versions
        ]
    }


def user(call: Call, profile: Profile) -> dict[str, Any]:
    """Return a profile as UserGet shows it, but for the groups that the person is in."""
    head = profile.head
    final = head.expires_at if head.sliding is None else head.ends_at
    ends = {
        "finaltime": final and final // 1000,
        "slidingtime": head.sliding and head.sliding // 1000,
        "expirationtime": head.expires_at and head.expires_at // 1000,
    }
    return {
        "token": head.token,
        "profile": shown_to(call, profile.content),
        "version": head.revision,
        **{name: value for name, value in ends.items() if value is not None},
    }


async def with_roles(call: Call, said: dict[str, Any]) -> dict[str, Any]:
    """Return a person as ``user`` does, with their groups, if there are any."""
    roles = await roles_of(call, said["token"])
    return {**said, "grouproles": roles} if roles else said


def _lifetimes(call: Call) -> tuple[int | None, int | None]:
    """Return for how many seconds new profiles live, and unused live: no longer than the settings allow."""
    settings = call.vault.config
    most = min(settings.databunker.max_final_time, settings.profiles.max_expires_in or MOST_SECONDS)
    final, sliding = call.seconds("finaltime"), call.seconds("slidingtime")
    return final and min(final, most), sliding and min(sliding, most)


def _load(record: Any) -> dict[str, Any]:
    """Return a record of a batch, or raise ``Invalid``. Most are a profile and nothing else, which needs no schema."""
    if not isinstance(record, dict) or not isinstance(record.get("profile"), dict):
        raise Invalid(fields={"profile": "must be an object"})
    if len(record) == 1:
        return record
    try:
        said = {name: value for name, value in record.items() if value is not None}
        loaded: dict[str, Any] = _RECORD.load(said)
    except marshmallow.ValidationError as wrong:
        raise Invalid(fields={next(iter(wrong.messages_dict)): "incorrect format"}) from None
    return loaded


def _reason(result: BatchEntry) -> str:
    if result.code == RecordNotFound.code:
        return "There is no such group or role"
    name, sentence = next(iter(result.fields.items()))
    if result.code == Duplicate.code:
        return f"Duplicate index: {name}"
    return f"The {name} parameter has an incorrect format: {sentence}"


async def _join(call: Call, token: str, place: Place) -> None:
    await call.vault.groups.join(place.group, token, place.role)


async def _some_at_once(act: Callable[[X], Awaitable[T]], items: Sequence[X]) -> list[T]:
    done: list[T] = []
    for start in range(0, len(items), AT_ONCE):
        done += await asyncio.gather(*map(act, items[start : start + AT_ONCE]))
    return done


def _require_few(call: Call, items: list[Any]) -> None:
    most = call.vault.config.limits.batch_profiles
    if len(items) > most:
        raise TooLarge(f"A call may be about at most {most} people.")


async def _was_erased(call: Call, token: str) -> bool:
    try:
        await call.vault.profiles.erase(token)
    except ProfileNotFound:
        return False
    return True


def _people() -> fields.Field[Any]:
    one = marshmallow.Schema.from_dict(identity(), name="User")(unknown=marshmallow.EXCLUDE)
    return fields.List(fields.Nested(one), required=True)


METHODS = (
    Method("UserCreate", create, {**_NEW_USER, "usertoken": fields.String(), **times()}),
    Method(
        "UserCreateBulk",
        create_bulk,
        {"records": fields.List(fields.Raw(), required=True), **times()},
        limit=lambda limits: limits.batch_body,
    ),
    Method("UserGet", get, {**identity(), "version": Number()}, own=True),
    Method("UserUpdate", update, {**identity(), "profile": fields.Dict(required=True)}),
    Method("UserPatch", patch, {**identity(), "patch": fields.List(fields.Raw(), required=True)}),
    Method("UserDelete", delete, identity()),
    Method("UserDeleteBulk", delete_bulk, {"users": _people()}, limit=lambda limits: limits.batch_body),
    Method(
        "UserSearch", search, {"identity": Scalar(required=True), "unlockuuid": fields.String(required=True)}
    ),
    Method("UserListVersions", list_versions, identity(), own=True),
)
