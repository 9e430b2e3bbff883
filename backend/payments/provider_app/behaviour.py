"""How the sandbox misbehaves when told to, as real providers do untold.

Set by ``POST /sandbox/behaviour``; lasts until it is set again or the process ends.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Webhooks(StrEnum):
    """What becomes of a notice."""

    NORMAL = "normal"
    DOUBLED = "doubled"
    DROPPED = "dropped"


COPIES: Final = {Webhooks.NORMAL: 1, Webhooks.DOUBLED: 2, Webhooks.DROPPED: 0}


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """The knobs. Changed in place, so that everyone who holds it sees the change."""

    webhooks: Webhooks = Webhooks.NORMAL
