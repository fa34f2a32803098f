"""Why the archive cannot be used, said so that a person can act on it."""


class ArchiveAwayError(Exception):
    """The archive cannot be asked or written now: why, and what to do."""

    def __init__(self, why: str, remedy: str = "see whether PostgreSQL runs, and CLEPSYDRA_POSTGRES") -> None:
        super().__init__(f"{why}: {remedy}")
        self.why = why
        self.remedy = remedy


class ArchiveMissingError(ArchiveAwayError):
    """No archive is configured."""

    def __init__(self) -> None:
        super().__init__("CLEPSYDRA_POSTGRES is not set", "set it, and run `clepsydra worker archivist`")


class RebuildRunsError(Exception):
    """Another rebuild of this archive is under way."""
