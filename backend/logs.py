"""Logs: one event a line, to stderr; for people on a terminal, JSON elsewhere."""

import logging
import sys

import structlog


def set_up(*, is_verbose: bool = False) -> None:
    """Send this process's logs, ours and the libraries', to stderr in one shape."""
    level = logging.DEBUG if is_verbose else logging.INFO
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_last(is_terminal=sys.stderr.isatty()),
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
