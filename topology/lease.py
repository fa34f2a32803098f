"""The lease: how long this process may act for its partitions without hearing from its group (rule 7)."""

from collections.abc import Awaitable, Callable
from typing import Any

ANSWERED = frozenset({"HeartbeatRequest", "JoinGroupRequest", "SyncGroupRequest"})


class HeartbeatLease:
    """Runs from the sending of the last answered heartbeat. Safety rests on claim, fence and offset; this keeps zombies few."""

    def __init__(self, boot_ms: Callable[[], int], session_ms: int) -> None:
        """`boot_ms`: CLOCK_BOOTTIME, which runs on while the machine or the process is frozen."""
        self._boot_ms = boot_ms
        self._session_ms = session_ms
        self._until_ms = boot_ms() + session_ms

    def __call__(self) -> bool:
        """Whether it runs."""
        return self._boot_ms() < self._until_ms

    def renew(self, sent_ms: int) -> None:
        """A heartbeat sent then was answered."""
        self._until_ms = max(self._until_ms, sent_ms + self._session_ms)

    def watch(self, coordinator: Any) -> None:
        """Renew from what this aiokafka group coordinator sends. It has no public hook: 0.14 is pinned, a test looks."""
        if getattr(coordinator, "_clepsydra_lease", None) is self:
            return
        coordinator._clepsydra_lease = self  # noqa: SLF001
        send: Callable[[Any], Awaitable[Any]] = coordinator._send_req  # noqa: SLF001

        async def sent(request: Any) -> Any:
            at_ms = self._boot_ms()
            response = await send(request)
            if type(request).__name__ in ANSWERED and response.error_code == 0:
                self.renew(at_ms)
            return response

        coordinator._send_req = sent  # noqa: SLF001
