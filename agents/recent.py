"""What was answered of messages that have no row, until a replay can no longer ask it again (rule 1, `answers`)."""

from collections import deque

from schemas.rows import Remembered


class Recent:
    """Notes by message id, in the order of the commands that they answered."""

    def __init__(self) -> None:
        self._notes: dict[str, list[Remembered]] = {}
        self._order: deque[tuple[int, str]] = deque()

    def add(self, message_id: str, note: Remembered) -> None:
        """Another answer."""
        self._notes.setdefault(message_id, []).append(note)
        self._order.append((note.offset, message_id))

    def of(self, message_id: str) -> tuple[Remembered, ...]:
        """About one message or occurrence, or with `@` at the end about any of a schedule."""
        if not message_id.endswith("@"):
            return tuple(self._notes.get(message_id, ()))
        return tuple(note for i, notes in self._notes.items() if i.startswith(message_id) for note in notes)

    def drop(self, message_id: str) -> None:
        """It has a row, which remembers."""
        self._notes.pop(message_id, None)

    def drop_below(self, offset: int) -> None:
        """Commands below are not replayed."""
        while self._order and self._order[0][0] < offset:
            answered, message_id = self._order.popleft()
            kept = [note for note in self._notes.pop(message_id, ()) if note.offset > answered]
            if kept:
                self._notes[message_id] = kept
