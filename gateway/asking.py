"""A command's answer, or the problem that there is none."""

from gateway.problems import ProblemError
from schemas.commands import Answer, AnyCommand
from topology.commander import Commander
from topology.commander_errors import CommandError, CommandRefusedError


async def ask(commander: Commander, command: AnyCommand) -> Answer:
    """Raises ProblemError: 504 when it may be done or not, 503 when it was not written."""
    try:
        return await commander.ask(command)
    except CommandError as fault:
        raise unanswered(fault, command.id) from None


def unanswered(fault: CommandError, message_id: str) -> ProblemError:
    """504 when it may be done or not, 503 when it was not written."""
    detail = f"{fault.problem}; {fault.remedy}"
    if isinstance(fault, CommandRefusedError):
        return ProblemError(503, "unavailable", "Not now", detail, headers={"Retry-After": "1"}, id=message_id)
    return ProblemError(
        504, "answer_unknown", "The answer is unknown", detail, command_id=fault.command_id, id=message_id
    )
