"""What becomes of a look: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.commands import Answer, Look
from schemas.decide_answers import plain_answer, shown_state
from schemas.decisions import Seen


def looked(seen: Seen, command: Look) -> Answer:
    """What the owner knows of a message: its row, with emissions shown in the states."""
    row = seen.row
    if row is None:
        return Answer(command_id=command.command_id, id=command.id, result="not_found")
    shown = replace(row, deliveries=tuple(replace(d, state=shown_state(seen, d)) for d in row.deliveries))
    return replace(plain_answer(command, shown, "found"), view=shown, state=shown.state)
