"""Records as msgspec can describe them: it cannot show a default of raw JSON, and guesses no offset in a time."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Raw, Struct

MOMENT = Annotated[datetime, Meta(tz=True)]
"""All our times carry an offset."""


def shown(kind: Any) -> Any:
    """The type, with a twin in place of each record in it: Any for raw JSON, times with an offset."""
    if kind is Raw:
        return Any
    if kind is datetime:
        return MOMENT
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _twin(kind)
    return _rebuilt(kind) if get_args(kind) else kind


def _rebuilt(kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return kind
    if origin is Annotated:
        inner = arguments[0]
        return Annotated[(inner if inner is datetime else shown(inner), *arguments[1:])]
    if origin in (Union, UnionType):
        return reduce(or_, map(shown, arguments))
    return origin[tuple(each if each is ... else shown(each) for each in arguments)]


@cache
def _twin(record: type[Struct]) -> type[Struct]:
    config = record.__struct_config__
    twin = msgspec.defstruct(
        record.__name__,
        list(_fields(record)),
        kw_only=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
        tag_field=config.tag_field,
        tag=config.tag,
    )
    twin.__doc__ = record.__doc__
    return twin


def _fields(record: type[Struct]) -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
    hints = get_type_hints(record, include_extras=True)
    for field in msgspec.structs.fields(record):
        kind = shown(hints[field.name])
        if field.default_factory is not NODEFAULT:
            yield field.name, kind, msgspec.field(default_factory=field.default_factory)
        elif isinstance(field.default, Raw):
            yield field.name, kind, UNSET
        elif field.default is NODEFAULT:
            yield field.name, kind
        else:
            yield field.name, kind, field.default
