"""One wish, one effect, one answer: whoever comes again with the key hears it again.

The answer is kept beside the effect, in its transaction, a no included. Rules refuse before
they write, so a no leaves behind only what time did meanwhile.
"""

import hashlib
import json
from collections.abc import Callable
from http import HTTPStatus

from backend.payments.provider_app.memory import Memory
from backend.payments.provider_app.problems import HTTP_STATUS, Code, Refused, problem
from backend.payments.provider_app.rows import Answer, Rows

View = dict[str, object]
Act = Callable[[Rows], tuple[HTTPStatus, View]]
"""What a wish does, and what is answered to it."""


def answer_once(memory: Memory, key: str, wish: tuple[object, ...], act: Act) -> Answer:
    """Answer a wish, or say again what was answered to it.

    Raises:
        Refused: the key was used for another wish.
    """
    fingerprint = hashlib.sha256(json.dumps(wish).encode()).hexdigest()
    with memory.transaction() as rows:
        kept = rows.answer(key)
        if kept is None:
            kept = _answer(rows, fingerprint, act)
            rows.keep_answer(key, kept)
        elif kept.wish != fingerprint:
            raise Refused(Code.KEY_REUSED, "this key was used for another wish")
    return kept


def _answer(rows: Rows, fingerprint: str, act: Act) -> Answer:
    try:
        status, body = act(rows)
    except Refused as no:
        status = HTTP_STATUS[no.code]
        body = problem(status, no.code, no.detail)
    return Answer(wish=fingerprint, status=status, body=json.dumps(body))
