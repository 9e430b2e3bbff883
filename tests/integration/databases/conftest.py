"""The world of the rentals' tests, where everybody acts at once."""

from tests.integration.rentals.conftest import world

__all__ = ["world"]
