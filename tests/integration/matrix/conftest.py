"""The world of the rentals' tests, full of things that belong to somebody."""

from tests.integration.rentals.conftest import world

__all__ = ["world"]
