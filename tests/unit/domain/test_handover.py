import pytest

from backend.domain.errors import Code, Refusal
from backend.domain.handover import CODE_TRIES, HandoverCode, check_scan, try_code

CODE = HandoverCode(digits="1234")


def tried(code, *guesses):
    for guess in guesses:
        result = try_code(code, given=guess)
        code = result.code
    return result


def test_the_right_code_opens_and_costs_no_try():
    result = tried(CODE, "1234")
    assert result.refusal is None
    assert result.code.tries_left == CODE_TRIES


def test_a_wrong_code_says_how_many_tries_are_left():
    result = tried(CODE, "1243")
    assert result.refusal is not None
    assert (result.refusal.code, result.refusal.detail) == (Code.BAD_CODE, {"tries_left": 4})


def test_four_wrong_tries_still_leave_the_right_one():
    assert tried(CODE, *["0000"] * 4, "1234").refusal is None


def test_the_fifth_wrong_try_locks_the_code():
    result = tried(CODE, *["0000"] * 5)
    assert result.refusal is not None
    assert result.refusal.code is Code.CODE_LOCKED
    assert result.code.is_locked


def test_a_locked_code_stays_locked_for_the_right_digits():
    result = tried(CODE, *["0000"] * 5, "1234")
    assert result.refusal is not None
    assert result.refusal.code is Code.CODE_LOCKED


def test_tries_on_a_locked_code_are_not_counted_on():
    assert tried(CODE, *["0000"] * 9).code.wrong_tries == CODE_TRIES


@pytest.mark.parametrize("given", ["", "123", "12345", " 1234", "１２３４"])  # noqa: RUF001 - full-width digits
def test_only_the_very_digits_open(given):
    assert tried(CODE, given).refusal is not None


def test_another_banks_label_proves_nothing_and_says_so():
    with pytest.raises(Refusal) as refused:
        check_scan(expected="LW-0001", scanned="LW-0002")
    assert refused.value.code is Code.WRONG_BANK
    assert refused.value.detail == {"expected": "LW-0001", "scanned": "LW-0002"}


def test_the_banks_own_label_proves_it():
    check_scan(expected="LW-0001", scanned="LW-0001")
