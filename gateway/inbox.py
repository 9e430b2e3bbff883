"""The port the gateway reads from: batches of what banks said, acknowledged after the commit.

Two kinds of broker can stand behind it: any that speaks MQTT (``link``), and a JetStream
consumer for a cluster. What is not acknowledged comes again; what may be in flight is bounded.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Incoming(NamedTuple):
    """One message as it came."""

    topic: str
    payload: bytes
    received_at_ms: int
    retained: bool
    mid: int
    """The broker's number for it; 0 when it wants no acknowledgement."""


class Batch(Protocol):
    """What came together."""

    @property
    def messages(self) -> Sequence[Incoming]:
        """In the order they came."""

    def ack(self) -> None:
        """Tell the broker that the effects are safe. Call it after the commit."""


class Inbox(Protocol):
    """Where batches come from."""

    def batches(self) -> AsyncIterator[Batch]:
        """Batches, for ever, each at most the configured size."""


class Outbox(Protocol):
    """Where commands and settings go out."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        """Hand a message to the broker; False when there is no connection, and nothing was sent."""
