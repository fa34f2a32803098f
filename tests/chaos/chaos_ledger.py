"""The ledger: everything asked, answered and received, and whether all of it can be true at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

EXPLAINED_BEFORE_MS = 3_000
"""A send that a fault broke off may have begun so long before it."""


class Arrival(NamedTuple):
    """A request that was taken: its delivery key, revision and due time (of its body), when it was in hand."""

    key: str
    rev: int
    due_ms: int
    at_ms: int

    @property
    def id(self) -> str:
        return self.key.rpartition("/")[0]


class Change(Struct):
    """An edit or cancel, and its answer; None: not answered yet."""

    command_id: str
    kind: str
    rev: int = 0
    due_ms: int = 0
    answer: str | None = None


class Asked(Struct):
    """A message: what was asked of it and what was answered."""

    id: str
    due_ms: int
    created: str | None = None
    accepted_ms: int = 0
    """When the answer was here."""
    changes: list[Change] = []

    def accepted(self, kind: str) -> Change | None:
        good = {"edit": "accepted", "cancel": "cancelled"}[kind]
        return next((c for c in self.changes if c.kind == kind and c.answer == good), None)

    def open(self, kind: str) -> bool:
        """Whether such a change was asked for and never answered: it may be done or not."""
        return any(c.kind == kind and c.answer is None for c in self.changes)

    def due(self) -> int:
        edit = self.accepted("edit")
        return self.due_ms if edit is None else edit.due_ms

    def in_time(self) -> bool:
        """Whether it was accepted before it was due: else it waited on its way to the owner, or its sender was late."""
        return 0 < self.accepted_ms <= self.due_ms

    def expected(self) -> bool:
        """Whether it must arrive."""
        return self.created == "accepted" and self.accepted("cancel") is None and not self.open("cancel")


class Fault(Struct):
    """One round: a kind of fault, when it began and was healed, and until when its effects are its own."""

    kind: str
    begun_ms: int
    healed_ms: int = 0
    over_ms: int = 0
    excuses: bool = True
    """Whether it may break a send off in the middle: couriers, brokers, the receiver's way to them."""
    note: str = ""


class Promise(NamedTuple):
    """What does not fit, in words."""

    kind: str
    said: str


class Ledger:
    """Filled by traffic and receiver; read by `broken` once all is quiet."""

    def __init__(self) -> None:
        self.asked: dict[str, Asked] = {}
        self.arrivals: list[Arrival] = []
        self.by_id: defaultdict[str, list[Arrival]] = defaultdict(list)
        self.outstanding: dict[str, Asked] = {}
        """Accepted, not cancelled, not here: what `missing` says, kept as things come in."""
        self.refused: set[str] = set()
        """Keys that were answered 503 first: their lateness says nothing."""
        self.states: dict[str, str] = {}
        """Of messages that are missing and may be so: as their owners say."""
        self.twice: list[Promise] = []
        """Answers that were another one when asked again."""

    def took(self, arrival: Arrival) -> None:
        self.outstanding.pop(arrival.id, None)
        self.arrivals.append(arrival)
        self.by_id[arrival.id].append(arrival)

    def expect(self, asked: Asked) -> None:
        """It was accepted."""
        if asked.id not in self.by_id:
            self.outstanding[asked.id] = asked

    def missing(self) -> list[Asked]:
        """Accepted, not cancelled, and not here."""
        return [asked for asked in self.asked.values() if asked.expected() and asked.id not in self.by_id]

    def broken(self, faults: Iterable[Fault]) -> list[Promise]:
        """Every promise that does not hold."""
        found = [*self.twice, *self._lost(), *self._early(), *self._untrue()]
        found += [Promise("unexplained repeat", key) for key in self.unexplained(faults)]
        found += [Promise("repeat at the key-checking receiver", said) for said in self.key_repeats()]
        return found

    def _lost(self) -> list[Promise]:
        return [
            Promise("lost", f"{asked.id}, due {asked.due()}: {[c.answer for c in asked.changes]}")
            for asked in self.missing()
            if not self.nobody_knows(asked)
        ]

    def nobody_knows(self, asked: Asked) -> bool:
        """Whether its response was lost and it was cancelled then: that ends its retries (rule 10, `maybe_sent`)."""
        cancelled = any(c.kind == "cancel" and c.answer == "too_late" for c in asked.changes)
        return cancelled and self.states.get(asked.id) == "unknown"

    def _early(self) -> list[Promise]:
        return [Promise("early", f"{a.key} by {a.due_ms - a.at_ms} ms") for a in self.arrivals if a.at_ms < a.due_ms]

    def _untrue(self) -> list[Promise]:
        found = []
        for asked in self.asked.values():
            revs = [arrival.rev for arrival in self.by_id.get(asked.id, ())]
            if revs and asked.created == "accepted" and asked.accepted("cancel"):
                found.append(Promise("untrue", f"{asked.id} was answered cancelled and was received"))
            elif (edit := asked.accepted("edit")) is not None and set(revs) - {edit.rev}:
                found.append(Promise("untrue", f"{asked.id} was edited to {edit.rev} and {revs} was received"))
            elif edit is None and not asked.open("edit") and set(revs) - {1}:
                found.append(Promise("untrue", f"{asked.id}: the edit was refused and {revs} was received"))
            found += [
                Promise("untrue", f"{asked.id} is accepted, its {change.kind} was {change.answer}")
                for change in asked.changes
                if asked.created == "accepted" and change.answer in ("not_found", "refused", "conflict")
            ]
        return found

    def unarchived(self, archive: Mapping[str, str]) -> list[str]:
        """Accepted messages of which the archive does not say how they ended."""
        wrong = []
        for asked in self.asked.values():
            ended = {"cancelled"} if asked.accepted("cancel") else {"delivered"}
            if asked.open("cancel") or asked.id in self.states:
                ended = {"cancelled", "delivered", "unknown"}
            if asked.created == "accepted" and archive.get(asked.id) not in ended:
                wrong.append(f"{asked.id} is {archive.get(asked.id)} in the archive, not {' or '.join(sorted(ended))}")
        return wrong

    def repeats(self) -> dict[str, list[Arrival]]:
        """Keys that were taken more than once: what a receiver that checks keys drops."""
        by_key: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in self.arrivals:
            by_key[arrival.key].append(arrival)
        return {key: found for key, found in by_key.items() if len(found) > 1}

    def unexplained(self, faults: Iterable[Fault]) -> list[str]:
        """Repeated keys whose first send no fault can have broken off."""
        spans = [(f.begun_ms - EXPLAINED_BEFORE_MS, f.over_ms) for f in faults if f.excuses]
        return [
            key
            for key, found in self.repeats().items()
            if not any(begun <= found[0].at_ms <= over for begun, over in spans)
        ]

    def key_repeats(self) -> list[str]:
        """What a receiver that remembers keys would still have processed twice, or have to refuse."""
        found = []
        for id_, arrivals in self.by_id.items():
            if len({a.key for a in arrivals}) > 1:
                found.append(f"{id_} came under {sorted({a.key for a in arrivals})}")
            if len({(a.key, a.rev) for a in arrivals}) > len({a.key for a in arrivals}):
                found.append(f"{id_} came with other content under one key")
        return found

    def answers(self) -> Counter[str]:
        """How the changes ended."""
        return Counter(
            f"{change.kind} {change.answer or 'unanswered'}"
            for asked in self.asked.values()
            for change in asked.changes
        )

    def lateness_ms(self, begun_ms: int, over_ms: int, *, in_time: bool = True) -> list[int]:
        """Of the first arrival of each message due in that time, sorted: of those accepted before they were due, or after."""
        found = []
        for id_, arrivals in self.by_id.items():
            asked = self.asked.get(id_)
            if arrivals[0].key in self.refused:
                continue
            if asked is not None and asked.in_time() is in_time and begun_ms <= asked.due() < over_ms:
                found.append(arrivals[0].at_ms - arrivals[0].due_ms)
        return sorted(found)
