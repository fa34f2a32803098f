"""A command's answer, or the problem that there is none."""

from gateway.problems import ProblemError
from schemas.commands import Answer, Command
from topology.commander import Commander
from topology.commander_errors import AnswerUnknownError, CommandRefusedError


async def ask(commander: Commander, command: Command) -> Answer:
    """Raises ProblemError: 504 when it may be done or not, 503 when it was not written."""
    try:
        return await commander.ask(command)
    except AnswerUnknownError as fault:
        detail = f"{fault.problem}; {fault.remedy}"
        raise ProblemError(
            504, "answer_unknown", "The answer is unknown", detail, command_id=fault.command_id, id=command.id
        ) from None
    except CommandRefusedError as fault:
        detail = f"{fault.problem}; {fault.remedy}"
        raise ProblemError(503, "unavailable", "Not now", detail, headers={"Retry-After": "1"}, id=command.id) from None
