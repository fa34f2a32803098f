"""What was sent here and is not recorded: the next courier of the partition in this process goes on with it (rule 9, G4).

A courier whose write failed, or that lost its lease, has sent what no log knows of. While the process lives it is known
here: without it the next courier, here or after a restart, would send it again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from agents.courier_memory import is_perhaps
from agents.ports import Memory
from agents.send_job import Job
from schemas.times import ms_of


class Left(NamedTuple):
    """A job that has begun, and the claim under which it did."""

    job: Job
    claim: int


class Unrecorded:
    """Of one due partition in one process: handed from each of its couriers to the next."""

    def __init__(self) -> None:
        """Nothing is left."""
        self._left: dict[str, Left] = {}

    def keep(self, job: Job, claim: int) -> None:
        """A job that has begun and is not recorded, whether its outcome is known yet or not."""
        self._left[job.key] = Left(job, claim)

    def take(self, memory: Memory) -> Iterator[Job]:
        """What the log does not know, once. A note of another claim stands: what began under it is in doubt."""
        left, self._left = self._left, {}
        for key, (job, claim) in left.items():
            known = memory.get(key)
            never_left = job.outcome is not None and job.begun is None
            if not never_left and (known is None or (is_perhaps(known) and known.claim == claim)):
                yield job

    def forget(self, before_ms: int) -> None:
        """What is older than couriers remember is of no use: its due record is sent no more."""
        self._left = {
            key: left for key, left in self._left.items() if not left.job.outcome or ms_of(left.job.ended) >= before_ms
        }
