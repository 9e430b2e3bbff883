"""What the world can do to the gateway, each told in one sentence that a person can act on."""


class StartError(Exception):
    """It cannot start: the text says what is wrong and what to do. No traceback is of use."""


class BrokerAway(Exception):  # noqa: N818 - it names a state of the world, as style.md does
    """The broker cannot be reached now; it is tried again, bounded and with jitter."""
