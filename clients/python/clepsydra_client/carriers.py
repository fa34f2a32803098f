"""What carries calls out: the steps of `exchange`, blocking or awaiting. Nothing is decided here."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

import httpx

from clepsydra_client.bulk import Batches
from clepsydra_client.endpoints import Lines, Pages
from clepsydra_client.errors import Unreachable, Unreadable
from clepsydra_client.exchange import Call, Pause, Retries, Send, exchange
from clepsydra_client.given import NewMessage
from clepsydra_client.records import Line

T = TypeVar("T")
AHEAD = 4
"""So many bulk requests are under way at once where that needs no threads."""


def answer(call: Call[T], response: httpx.Response) -> T:
    """What a good response says. Raises Unreadable."""
    try:
        return call.read(response)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        told = f"{response.status_code} {response.text[:100]!r}"
        raise Unreadable(f"{response.url} does not answer as a Clepsydra gateway does: {told} ({fault!r})") from fault


def broken_off(fault: httpx.TransportError, key: str | None) -> Unreachable:
    """The error of an answer that ended in its midst."""
    error = Unreachable(f"the answer broke off: {str(fault) or type(fault).__name__}")
    error.idempotency_key = key
    return error


class BlockingCarrier:
    """Over an httpx.Client."""

    def __init__(self, http: httpx.Client, retries: Retries) -> None:
        self._http, self._retries = http, retries

    def run(self, call: Call[T]) -> T:
        """The answer. Raises ApiError, Unreachable, Unreadable."""
        return answer(call, self._response(call))

    def pages(self, pages: Pages[T]) -> Iterator[T]:
        """All items."""
        cursor: str | None = None
        while True:
            page = self.run(pages(cursor))
            yield from page.items
            cursor = page.cursor
            if not cursor:
                return

    def lines(self, lines: Lines[T]) -> Iterator[T]:
        """Each line, as it comes."""
        response = self._response(lines.call, stream=True)
        try:
            for line in response.iter_lines():
                if line:
                    yield lines.read(line.encode())
        except httpx.TransportError as fault:
            raise broken_off(fault, lines.call.key) from fault
        finally:
            response.close()

    def bulk(self, messages: Iterable[NewMessage], batches: Batches) -> Iterator[Line]:
        """One request after another."""
        for message in messages:
            if (call := batches.add(message)) is not None:
                yield from self.run(call)
        if (call := batches.rest()) is not None:
            yield from self.run(call)

    def _response(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        steps = exchange(call, self._http.build_request, self._retries, random.random)
        found: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(found)
            except StopIteration as done:
                response: httpx.Response = done.value
                return response
            match step:
                case Send(request):
                    found = self._sent(request, stream=stream)
                case Pause(seconds):
                    time.sleep(seconds)
                    found = None

    def _sent(self, request: httpx.Request, *, stream: bool) -> httpx.Response | httpx.TransportError:
        try:
            response = self._http.send(request, stream=stream)
            if response.is_error:
                response.read()
        except httpx.TransportError as fault:
            return fault
        return response


class AwaitingCarrier:
    """Over an httpx.AsyncClient."""

    def __init__(self, http: httpx.AsyncClient, retries: Retries) -> None:
        self._http, self._retries = http, retries

    async def run(self, call: Call[T]) -> T:
        """The answer. Raises ApiError, Unreachable, Unreadable."""
        return answer(call, await self._response(call))

    async def pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        """All items."""
        cursor: str | None = None
        while True:
            page = await self.run(pages(cursor))
            for item in page.items:
                yield item
            cursor = page.cursor
            if not cursor:
                return

    async def lines(self, lines: Lines[T]) -> AsyncIterator[T]:
        """Each line, as it comes."""
        response = await self._response(lines.call, stream=True)
        try:
            async for line in response.aiter_lines():
                if line:
                    yield lines.read(line.encode())
        except httpx.TransportError as fault:
            raise broken_off(fault, lines.call.key) from fault
        finally:
            await response.aclose()

    async def bulk(
        self, messages: Iterable[NewMessage] | AsyncIterable[NewMessage], batches: Batches
    ) -> AsyncIterator[Line]:
        """Some requests at once; the answers in the order of the messages."""
        under_way: deque[asyncio.Task[list[Line]]] = deque()
        try:
            async for call in _calls(messages, batches):
                under_way.append(asyncio.create_task(self.run(call)))
                while len(under_way) >= AHEAD:
                    for line in await under_way.popleft():
                        yield line
            while under_way:
                for line in await under_way.popleft():
                    yield line
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _response(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        steps = exchange(call, self._http.build_request, self._retries, random.random)
        found: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(found)
            except StopIteration as done:
                response: httpx.Response = done.value
                return response
            match step:
                case Send(request):
                    found = await self._sent(request, stream=stream)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                    found = None

    async def _sent(self, request: httpx.Request, *, stream: bool) -> httpx.Response | httpx.TransportError:
        try:
            response = await self._http.send(request, stream=stream)
            if response.is_error:
                await response.aread()
        except httpx.TransportError as fault:
            return fault
        return response


async def _calls(
    messages: Iterable[NewMessage] | AsyncIterable[NewMessage], batches: Batches
) -> AsyncIterator[Call[list[Line]]]:
    if isinstance(messages, AsyncIterable):
        async for message in messages:
            if (call := batches.add(message)) is not None:
                yield call
    else:
        for message in messages:
            if (call := batches.add(message)) is not None:
                yield call
    if (call := batches.rest()) is not None:
        yield call
