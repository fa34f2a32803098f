"""What can keep an embedded server from running, said so that a person can act on it."""


class EmbeddedServerError(Exception):
    """An embedded server cannot run: `what` failed, `why`, and the `remedy`."""

    def __init__(self, what: str, *, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}\n{remedy}")
        self.what = what
        self.why = why
        self.remedy = remedy


class EmbeddedKafkaError(EmbeddedServerError):
    """The embedded Kafka cannot run."""


class EmbeddedPostgresError(EmbeddedServerError):
    """The embedded PostgreSQL cannot run."""
