"""What can be wrong with the world around the process, before and after it has started."""


class StartError(Exception):
    """It cannot start. The text is one sentence: what is wrong, and what to do about it."""
