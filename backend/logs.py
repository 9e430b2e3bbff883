"""Logs: one event a line, to stderr; for people on a terminal, JSON elsewhere."""

import logging
import sys
from typing import TextIO

import structlog


def set_up(*, is_verbose: bool = False, is_calm: bool = False, to: TextIO | None = None) -> None:
    """Send this process's logs, ours and the libraries', to one place in one shape.

    Args:
        is_verbose: everything, for who looks for a fault.
        is_calm: only what is wrong.
        to: where to; stderr if not given.
    """
    level = logging.DEBUG if is_verbose else logging.WARNING if is_calm else logging.INFO
    stream = to or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_last(is_terminal=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("apscheduler", "alembic", "uvicorn", "httpx", "transitions", "amqtt"):
        logging.getLogger(chatty).setLevel(level if is_verbose else logging.WARNING)


def _last(*, is_terminal: bool) -> list[structlog.typing.Processor]:
    if is_terminal:
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
