"""What processes log: one JSON line per event, with names and ids in it."""

import logging

import structlog

QUIET = ("aiokafka", "faust", "mode")
"""Libraries whose remarks are of no use to people; their errors are shown."""


def set_up_logs(level: str) -> None:
    """From now on what is below this level is not logged. Libraries that use `logging` tell theirs on stderr."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.ERROR))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
