"""POST as often as you like: one effect, one answer.

The key is claimed by inserting its row, in the transaction that does the work; the answer is
written to that row before the commit. So there is an effect exactly when there is a stored
answer. Of two requests at once, the second waits for the first one's commit (SQLite: for the
write lock; PostgreSQL: for the unique key) and then finds the answer.

A refused request had no effect, so nothing is kept and the same key may be tried again;
unless the refusal itself was a fact that was kept (``keep_despite_refusal``).
"""

from fastapi.routing import APIRoute


class IdempotentRoute(APIRoute):
    """A route whose POSTs need an ``Idempotency-Key`` and repeat their answer."""
