"""The lease: from the sending of the last answered heartbeat. (With a real group: tests/wiring.)"""

from types import SimpleNamespace

import pytest
from fakes import FakeClock

from topology.lease import HeartbeatLease

SESSION_MS = 10_000


class HeartbeatRequest:
    pass


class JoinGroupRequest(HeartbeatRequest):
    pass


class OffsetCommitRequest:
    pass


@pytest.fixture
def clock():
    return FakeClock(0)


@pytest.fixture
def lease(clock):
    return HeartbeatLease(clock.now_ms, SESSION_MS)


@pytest.mark.parametrize(("now_ms", "runs"), [(0, True), (9_999, True), (10_000, False), (10**9, False)])
def test_it_runs_for_a_session(clock, lease, now_ms, runs):
    clock.ms = now_ms
    assert lease() is runs


def test_a_heartbeat_renews_it_from_its_sending(clock, lease):
    clock.ms = 8_000
    lease.renew(3_000)
    clock.ms = 12_999
    assert lease()
    clock.ms = 13_000
    assert not lease()


def test_an_older_heartbeat_answered_later_shortens_nothing(clock, lease):
    lease.renew(5_000)
    lease.renew(1_000)
    clock.ms = 14_999
    assert lease()


def test_it_runs_again_when_the_group_answers_again(clock, lease):
    clock.ms = 50_000
    lease.renew(45_000)
    assert lease()


class Coordinator:
    """Answers after a second."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.error_code = clock, 0

    async def _send_req(self, _request):
        self.clock.ms += 1_000
        if self.error_code is None:
            raise ConnectionError
        return SimpleNamespace(error_code=self.error_code)


@pytest.mark.parametrize(
    ("request_", "error_code", "until_ms"),
    [
        (HeartbeatRequest(), 0, 8_000 + SESSION_MS),
        (JoinGroupRequest(), 0, 8_000 + SESSION_MS),
        (HeartbeatRequest(), 25, SESSION_MS),  # UNKNOWN_MEMBER_ID
        (OffsetCommitRequest(), 0, SESSION_MS),
    ],
)
async def test_only_answered_heartbeats_and_joins_renew_it(clock, lease, request_, error_code, until_ms):
    coordinator = Coordinator(clock)
    coordinator.error_code = error_code
    lease.watch(coordinator)
    clock.ms = 8_000
    assert (await coordinator._send_req(request_)).error_code == error_code
    clock.ms = until_ms - 1
    assert lease()
    clock.ms = until_ms
    assert not lease()


async def test_a_heartbeat_without_an_answer_renews_nothing(clock, lease):
    coordinator = Coordinator(clock)
    coordinator.error_code = None
    lease.watch(coordinator)
    clock.ms = 9_500
    with pytest.raises(ConnectionError):
        await coordinator._send_req(HeartbeatRequest())
    assert not lease()
