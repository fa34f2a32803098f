"""The flows that have limits, as they are set now: one for a process, kept by its settings, asked on the way of messages."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from schemas.flow_limits import CHANNEL_MARK, FlowLimits
from schemas.settings_records import Flow, StoppedEndpoint


class Hear(Protocol):
    """Hears of changes."""

    def __call__(self, key: str, *, raised: bool) -> None:
        """A flow was set or removed."""
        ...


class Flows:
    """Empty, it is false: then nothing need be asked of it."""

    def __init__(self) -> None:
        """No limits."""
        self.by_key: dict[str, FlowLimits] = {}
        self.set_at: dict[str, datetime] = {}
        self.paused: set[str] = set()
        self.stopped: dict[str, StoppedEndpoint] = {}
        self.report_gone: Callable[[StoppedEndpoint], None] = lambda _: None
        """Makes a stopped endpoint known to all processes."""
        self._listeners: list[Hear] = []

    def __bool__(self) -> bool:
        """Whether any flow has limits."""
        return bool(self.by_key)

    def on_change(self, tell: "Hear") -> Callable[[], None]:
        """`tell` hears of each key that is set anew or removed, until what is given back is called.

        `raised`: its rate has become higher, or is gone.
        """
        self._listeners.append(tell)

        def unhear() -> None:
            with suppress(ValueError):  # it may be called again
                self._listeners.remove(tell)

        return unhear

    def put(self, key: str, flow: Flow | None) -> None:
        """A flow is set, or its limits are gone."""
        self.paused.discard(key)
        before = self._interval_us(key)
        if flow is None:
            self.by_key.pop(key, None)
            self.set_at.pop(key, None)
        else:
            self.by_key[key] = flow.limits
            self.set_at[key] = flow.set_at
            if flow.limits.paused:
                self.paused.add(key)
        raised = self._interval_us(key) < before
        for tell in list(self._listeners):
            tell(key, raised=raised)

    def _interval_us(self, key: str) -> int:
        limits = self.by_key.get(key)
        return 0 if limits is None else limits.interval_us

    def put_endpoint(self, key: str, stopped: StoppedEndpoint | None) -> None:
        """A URL has said that it is gone, or this is forgotten."""
        if stopped is None:
            self.stopped.pop(key, None)
        else:
            self.stopped[key] = stopped

    def of(self, flow: str | None) -> FlowLimits | None:
        """The limits of a flow."""
        return None if flow is None else self.by_key.get(flow)

    def of_channel(self, channel: str) -> FlowLimits | None:
        """The limits of a whole channel."""
        return self.by_key.get(CHANNEL_MARK + channel)

    def of_message(self, flow: str | None, account: str | None, channel: str) -> tuple[FlowLimits, ...]:
        """All limits that bear on a message, the narrowest first: its flow's, its account's, its channel's."""
        found = (self.of(flow), self.of(account) if account != flow else None, self.of_channel(channel))
        return tuple(limits for limits in found if limits is not None)

    def is_stopped(self, key: str, flow: str | None, now: datetime) -> StoppedEndpoint | None:
        """What says that nothing is sent to a URL: it said 410 Gone, and its flow was not set again since."""
        stopped = self.stopped.get(key)
        if stopped is None or stopped.until <= now:
            return None
        set_again = any(self.set_at[f] > stopped.at for f in (stopped.flow, flow) if f is not None and f in self.set_at)
        return None if set_again else stopped

    def pause_of(self, flow: str | None, channel: str) -> str | None:
        """The key whose pause holds a message back, or None."""
        if flow is not None and flow in self.paused:
            return flow
        whole = CHANNEL_MARK + channel
        return whole if whole in self.paused else None

    def honours_key(self, flow: str | None, channel: str, default: bool) -> bool:  # noqa: FBT001 - the channel's own word
        """Whether receivers of a flow drop repeats: its own word, else the channel's limits', else the channel's."""
        for limits in (self.of(flow), self.of_channel(channel)):
            if limits is not None and limits.honours_key is not None:
                return limits.honours_key
        return default
