"""One definition for two clients: a method that makes a call becomes one that gives its answer, or an awaitable of it.

    class Messages(Group[M]):
        @endpoint
        def get(self, message_id: str) -> Call[Message]: ...

`Client().messages.get("m")` is a Message, `AsyncClient().messages.get("m")` a coroutine of one; type checkers agree.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import httpx

from clepsydra_client.exchange import Call
from clepsydra_client.reading import read

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Marks what gives answers."""


class Awaiting:
    """Marks what gives awaitables of answers."""


M = TypeVar("M", bound=Blocking | Awaiting)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and the cursor of what follows."""

    items: tuple[T, ...]
    cursor: str | None


Pages = Callable[[str | None], Call[Page[T]]]
"""The call for the page at a cursor."""


def read_one(kind: Callable[..., T]) -> Callable[[httpx.Response], T]:
    """Of an answer that is a record."""
    return lambda found: read(kind, found.json())


def read_all(member: str, kind: Callable[..., T]) -> Callable[[httpx.Response], tuple[T, ...]]:
    """Of an answer that is `{<member>: [...]}`."""
    return lambda found: tuple(read(kind, each) for each in found.json()[member])


def paged(path: str, params: Mapping[str, str], member: str, kind: Callable[..., T]) -> Pages[T]:
    """Of a list whose answers are `{<member>: [...], "cursor": ...}`."""

    def read_page(found: httpx.Response) -> Page[T]:
        content = found.json()
        return Page(tuple(read(kind, each) for each in content[member]), content.get("cursor"))

    def page(cursor: str | None) -> Call[Page[T]]:
        more = {} if cursor is None else {"cursor": cursor}
        return Call(method="GET", path=path, read=read_page, params={**params, **more})

    return page


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """A call whose answer comes line by line, and how a line is read."""

    call: Call[None]
    read: Callable[[bytes], T]


class Carrier(Protocol):
    """Carries calls out: blocking, or as awaitables and async iterators."""

    def run(self, call: Call[Any], /) -> Any:
        """The answer."""

    def pages(self, pages: Pages[Any], /) -> Any:
        """An iterator over the items of all pages."""

    def lines(self, lines: Lines[Any], /) -> Any:
        """An iterator over the lines, as they come."""

    def bulk(self, messages: Any, batches: Any, /) -> Any:
        """An iterator over the answers to many messages."""


class Group(Generic[M]):
    """Endpoints that belong together."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier


class _Method(Generic[P, T]):
    def __init__(self, make: Callable[Concatenate[Any, P], Any]) -> None:
        self._make = make
        update_wrapper(self, make)  # type: ignore[arg-type]  # for help(): its name, text and parameters

    def _bound(self, group: Group[Any], carry: Callable[[Any], Any]) -> Any:
        def call(*given: P.args, **named: P.kwargs) -> Any:
            return carry(self._make(group, *given, **named))

        return update_wrapper(call, self._make)


class endpoint(_Method[P, T]):  # noqa: N801  a decorator
    """Of a method that gives a Call."""

    def __init__(self, make: Callable[Concatenate[Any, P], Call[T]]) -> None:
        super().__init__(make)

    @overload
    def __get__(self, group: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: Group[Any] | None, owner: Any = None) -> Any:
        return self if group is None else self._bound(group, group._carrier.run)  # noqa: SLF001


class listing(_Method[P, T]):  # noqa: N801  a decorator
    """Of a method that gives Pages: an iterator over all items, which asks for a page when it comes to it."""

    def __init__(self, make: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        super().__init__(make)

    @overload
    def __get__(self, group: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Group[Any] | None, owner: Any = None) -> Any:
        return self if group is None else self._bound(group, group._carrier.pages)  # noqa: SLF001


class streaming(_Method[P, T]):  # noqa: N801  a decorator
    """Of a method that gives Lines: an iterator over the lines of one answer, as they come."""

    def __init__(self, make: Callable[Concatenate[Any, P], Lines[T]]) -> None:
        super().__init__(make)

    @overload
    def __get__(self, group: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Group[Any] | None, owner: Any = None) -> Any:
        return self if group is None else self._bound(group, group._carrier.lines)  # noqa: SLF001
