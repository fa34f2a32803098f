"""Why a command has no answer, and whether it may be sent again."""

REPEAT = "repeat it with the same key: it is done once, and the answer is the same"


class CommandError(Exception):
    """A command without an answer: `command_id` names it; `problem` and `remedy` are for people."""

    def __init__(self, command_id: str, problem: str, remedy: str) -> None:
        super().__init__(f"command {command_id}: {problem}; {remedy}")
        self.command_id = command_id
        self.problem = problem
        self.remedy = remedy


class AnswerUnknownError(CommandError):
    """It is in Kafka, or may be: its owner has decided, will decide, or never sees it."""

    @classmethod
    def late(cls, command_id: str, timeout_s: float) -> "AnswerUnknownError":
        """Its owner gave no answer in time."""
        return cls(command_id, f"no answer came within {timeout_s:g} s", REPEAT)

    @classmethod
    def unconfirmed(cls, command_id: str, fault: BaseException) -> "AnswerUnknownError":
        """Kafka did not confirm the write."""
        return cls(command_id, f"it may or may not have been written: {fault!r}", REPEAT)

    @classmethod
    def stopped(cls, command_id: str) -> "AnswerUnknownError":
        """The process that waited for the answer is going down."""
        return cls(command_id, "this process stopped before the answer came", REPEAT)


class CommandRefusedError(CommandError):
    """It was not written, for certain."""

    @classmethod
    def backlog(cls, command_id: str) -> "CommandRefusedError":
        """So much waits for Kafka already that more would only grow old."""
        return cls(command_id, "it was not written: commands come faster than Kafka takes them", "send it again later")

    @classmethod
    def stopped(cls, command_id: str) -> "CommandRefusedError":
        """This process is going down."""
        return cls(command_id, "it was not written: this process is stopping", "send it again")


class CommanderStartError(Exception):
    """Commands cannot be sent from here: what is missing, and what to do."""

    @classmethod
    def unreachable(cls, brokers: str, fault: BaseException) -> "CommanderStartError":
        """No broker answered."""
        return cls(
            f"Kafka at {brokers} cannot be reached ({type(fault).__name__}): start it, or correct CLEPSYDRA_BROKERS"
        )

    @classmethod
    def topic(cls, topic: str, found: int, wanted: int) -> "CommanderStartError":
        """A topic that is not there or not as it should be."""
        if found == 0:
            return cls(f"topic {topic} is not there: run `clepsydra topics create`, or correct CLEPSYDRA_PREFIX")
        return cls(
            f"topic {topic} has {found} partitions and the settings say {wanted}: "
            f"set CLEPSYDRA_PARTITIONS={found}, the count is fixed for the life of a prefix"
        )
