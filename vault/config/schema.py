"""The schema of the settings file, made from the declarations."""

from collections.abc import Mapping
from dataclasses import Field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import marshmallow as ma

from vault.claims import ClaimRule
from vault.config.settings import Section


class _Exact(ma.fields.Field[Any]):
    """A value of the default's own type: true is not a number, and 1.0 not a whole one."""

    _types: Mapping[type, str] = {bool: "true or false", int: "a whole number", str: "text", dict: "a table"}

    def __init__(self, declared: Field[Any], default: object) -> None:
        self.type = dict if isinstance(default, Mapping) else type(default)
        least, most, shape = (declared.metadata[name] for name in ("least", "most", "shape"))
        check: ma.validate.Validator | None = None
        if get_origin(declared.type) is Literal:
            check = ma.validate.OneOf(get_args(declared.type), error="must be one of: {choices}")
        elif self.type is int:
            check = ma.validate.Range(least, most, error="must be from {min} to {max}")
        elif shape:
            check = ma.validate.Regexp(rf"({shape[0]})\Z", error=shape[1])
        super().__init__(validate=check)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Any:
        if type(value) is not self.type:
            raise ma.ValidationError(f"must be {self._types[self.type]}")
        return _claim_rules(value) if isinstance(value, dict) else value


def _claim_rules(table: Mapping[str, object]) -> Mapping[str, ClaimRule]:
    """Return the rules by name; raise ValidationError that tells what is wrong with each."""
    rules, wrong = {}, {}
    for name, rule in table.items():
        match {"values": [], **(rule if isinstance(rule, dict) else {"type": rule})}:
            case {"type": str(kind), "values": [*only], **more} if not more and {*map(type, only)} <= {str}:
                try:
                    rules[name] = ClaimRule(name, kind, tuple(only))
                except ValueError as error:
                    wrong[name] = [str(error)]
            case _:
                wrong[name] = ['must be a type, or such as { type = "slug", values = ["free", "paid"] }']
    if wrong:
        raise ma.ValidationError(wrong)
    return MappingProxyType(rules)


def schema_of(defaults: Section) -> ma.Schema:
    """Return the schema that makes a section of this kind from its TOML table."""
    declared = {one: getattr(defaults, one.name) for one in fields(defaults)}

    class Loader(ma.Schema):
        @ma.post_load(pass_original=True)
        def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> Section:
            section = type(defaults)(**data)
            # Defaults do not clash with each other, so at least one was set: that one is named.
            clashes = {next(n for n in names if n in original): [why] for names, why in section.clashes()}
            if clashes:
                raise ma.ValidationError(clashes)
            return section

    schema = Loader.from_dict(
        {
            one.name: ma.fields.Nested(schema_of(default))
            if isinstance(default, Section)
            else _Exact(one, default)
            for one, default in declared.items()
        }
    )()
    known = ", ".join(one.name for one in declared)
    schema.error_messages |= {"unknown": f"is unknown; known here: {known}", "type": "must be a table"}
    return schema
