"""Dead letters, opened again: what was not believed once may be believed by a newer version.

An operator wants it, the backend marks the row, and this folds the message in as if it came now
from the broker, with the time at which it really came. Order is ``(boot, seq)``, so an old state
that is replayed changes nothing that is newer. What is refused again says why, and stays.
"""

from collections.abc import Callable

from gateway.inbox import Incoming
from gateway.protocol import ProtocolError, Reason, decode, parse_topic
from gateway.store import Store, WantedLetter


def replay(store: Store, take_in: Callable[[Incoming], bool], *, now_ms: int, limit: int) -> bool:
    """Fold in the letters that an operator wants replayed.

    Args:
        store: where they are.
        take_in: stores one message and tells whether that made news.
        now_ms: UTC epoch milliseconds.
        limit: how many at once.

    Returns:
        Whether there is news for the backend.
    """
    with store.transaction() as connection:
        wanted = store.wanted_letters(connection, limit)
    news = False
    for letter in wanted:
        outcome, is_news = _again(letter, take_in)
        news = news or is_news
        with store.transaction() as connection:
            store.close_letter(connection, letter.id, outcome=outcome, at_ms=now_ms)
    return news


def _again(letter: WantedLetter, take_in: Callable[[Incoming], bool]) -> tuple[str, bool]:
    try:
        _bank, channel = parse_topic(letter.topic)
        decode(channel, letter.payload)
    except ProtocolError as error:
        return f"refused again: {error.reason}: {error.detail}", False
    incoming = Incoming(
        topic=letter.topic,
        payload=letter.payload,
        received_at_ms=letter.received_at_ms,
        retained=letter.reason == Reason.RETAINED,
        mid=0,
    )
    return "replayed", take_in(incoming)
