"""Ways to bring a one-time code to a phone."""

import structlog

_log = structlog.get_logger()


class ConsoleSender:
    """Writes codes to the log: for a machine whose operator is its only user."""

    def send(self, *, phone: str, code: str) -> None:
        """Log the code."""
        _log.info("sign_in_code", phone=phone, code=code)
