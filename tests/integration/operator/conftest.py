"""The world of the rentals' tests, seen from above."""

from tests.integration.rentals.conftest import world

__all__ = ["world"]
