"""JSON into the records: by their own types, and blind to fields that a newer gateway may add."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Read = Callable[[Any], Any]


def read(kind: Callable[..., T], value: Any) -> T:
    """A record, times as datetimes. Raises KeyError, TypeError or ValueError for what is none."""
    found: T = reader(kind)(value)
    return found


@cache
def reader(kind: Any) -> Read:
    """How a type is read."""
    if kind is datetime:
        return datetime.fromisoformat
    if is_dataclass(kind):
        return _record_reader(kind)
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin in (Union, UnionType):
            return _optional(reader(next(each for each in arguments if each is not NoneType)))
        case origin if origin is tuple:
            return _all_of(reader(arguments[0]))
        case origin if origin in (dict, Mapping):
            return _by_name(reader(arguments[1]))
        case _:
            return _as_it_is


def _record_reader(kind: Any) -> Read:
    hints = get_type_hints(kind)
    members = [(each.name, reader(hints[each.name]), _required(each)) for each in fields(kind)]

    def read_record(value: Any) -> Any:
        return kind(**{name: read(value[name]) for name, read, required in members if required or name in value})

    return read_record


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _optional(inner: Read) -> Read:
    return lambda value: None if value is None else inner(value)


def _all_of(inner: Read) -> Read:
    return lambda value: tuple(map(inner, value))


def _by_name(inner: Read) -> Read:
    return lambda value: {name: inner(each) for name, each in value.items()}


def _as_it_is(value: Any) -> Any:
    return value
