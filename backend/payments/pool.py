"""How connections to a provider are kept."""

from typing import Final

import httpx

POOL: Final = httpx.Limits(keepalive_expiry=2.0)
"""An idle connection is closed by us, well before the other side may (after 5 s and more): what is
sent into a connection that is just being closed has an end that nobody knows."""
