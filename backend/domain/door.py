"""Who stands at a renter's door, since when, and when they may leave.

The theory
----------
Whoever delivers has arrived when their own position says so: at most :data:`AT_THE_DOOR_M` from the
renter. Positions are noisy, so they have gone again only when they are further than
:data:`GONE_M`. The renter hears of the arrival at once, and until when they wait. Who came in vain
may say after that, from the door, that the renter is absent: then the delivery is called off for
the fee that calling it off cost when they arrived. It is nobody's fault but the renter's, if they
came in time.

Waiting is shorter than the grace of a late delivery (``dispatch.GRACE``): who came in time can
leave before they are relieved as late.
"""

from datetime import datetime, timedelta
from typing import Final

AT_THE_DOOR_M: Final = 100
GONE_M: Final = 200
ABSENT_AFTER: Final = timedelta(minutes=8)
"""From arriving, and telling the renter, to leaving."""


def at_door_since(since: datetime | None, *, left_m: int, now: datetime) -> datetime | None:
    """Since when somebody is at the door, by where they are now.

    Args:
        since: the same, by where they were before; None: they were not.
        left_m: how far they are from the renter.
        now: the time.

    Returns:
        None: they are not.
    """
    if left_m > GONE_M:
        return None
    return since if since is not None or left_m > AT_THE_DOOR_M else now


def waits_until(since: datetime) -> datetime:
    """Until when somebody waits who is at the door since then."""
    return since + ABSENT_AFTER
