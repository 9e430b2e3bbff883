"""Wake-ups for event streams of this process."""


class Hub:
    """Wakes the streams of the people who have news."""

    def wake(self, topics: frozenset[str]) -> None:
        """Wake who waits for these topics; from any thread. Fits ``Database.listen``."""
