"""When a merchant's part becomes theirs."""

import pytest

from tests.integration.books.conftest import Books


@pytest.mark.row("M4")
def test_a_share_is_pending_until_the_dispute_window_is_over(books: Books) -> None:
    books.paid()
    assert books.stands() == (810, 0, 0)

    books.world.clock.turn(days=6, hours=23)
    assert books.settle() == 0
    assert books.stands() == (810, 0, 0)

    books.world.clock.turn(hours=1)
    assert books.settle() == 1
    assert books.stands() == (0, 810, 0)
