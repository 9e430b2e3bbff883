"""Dead letters, opened again: what was not believed once may be believed by a newer version.

An operator wants it, the backend marks the row, and this folds the message in as if it came now
from the broker, with the time at which it really came. Order is ``(boot, seq)``, so an old state
that is replayed changes nothing that is newer. What is refused again says why, and stays; so does
what fails in any other way, or one letter would end each gateway that opens it.
"""

from collections.abc import Callable

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from gateway.inbox import Incoming
from gateway.ingest import Stored
from gateway.protocol import Reason
from gateway.store import Store, WantedLetter

log = structlog.get_logger("gateway.letters")


def replay(store: Store, take_in: Callable[[Incoming], Stored], *, now_ms: int, limit: int) -> bool:
    """Fold in the letters that an operator wants replayed.

    Args:
        store: where they are.
        take_in: stores one message and tells what came of it.
        now_ms: UTC epoch milliseconds.
        limit: how many at once.

    Returns:
        Whether there is news for the backend.

    Raises:
        OperationalError: the database is away; those that were not tried are wanted on.
    """
    with store.transaction() as connection:
        wanted = store.wanted_letters(connection, limit)
    has_news = False
    for letter in wanted:
        problem, is_news = _again(letter, take_in)
        has_news = has_news or is_news
        with store.transaction() as connection:
            store.close_letter(connection, letter.id, problem=problem, at_ms=now_ms)
    return has_news


def _again(letter: WantedLetter, take_in: Callable[[Incoming], Stored]) -> tuple[str | None, bool]:
    """Take a letter in; why it was refused, if it was, and whether there is news."""
    incoming = Incoming(
        topic=letter.topic,
        payload=letter.payload,
        received_at_ms=letter.received_at_ms,
        retained=letter.reason == Reason.RETAINED,
        mid=0,
    )
    try:
        stored = take_in(incoming)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever is wrong with it, it says so and stays
        log.exception("letter_not_replayed", letter=letter.id)
        return f"{Reason.INTERNAL}: {type(error).__name__}", False
    problem = next((f"{each.reason}: {each.detail}" for each in stored.letters), None)
    return problem, stored.has_news
