"""The sandbox provider: a payment provider to try things with. No real money moves.

It is another company's software as far as the rest of the project is concerned: a second
HTTP application with its own memory, its own page for payers and its own signer. It imports
nothing of the backend, and the backend knows it over HTTP only.

It keeps the promises that a real provider keeps, and no more:

- the same ``Idempotency-Key`` with the same wish has one effect and gets one answer, a no
  included; with another wish it is refused;
- a change, the answer to the wish for it and the notice that tells of it are committed
  together, so that a crash leaves all or none;
- notices are signed and sent until a 2xx answers, with growing pauses, a bounded number of
  times. They may come twice and out of order;
- a hold runs out when it said it would;
- a payout is on its way for a while, and ends as its account says (``payout.py``).

Where it is allowed to, it breaks these promises as real providers do: see ``faults.py``.
"""

from backend.payments.provider_app.app import create_provider_app, run_provider
from backend.payments.provider_app.memory import MemoryUnusableError
from backend.payments.provider_app.settings import ProviderSettings

__all__ = ["MemoryUnusableError", "ProviderSettings", "create_provider_app", "run_provider"]
