"""Every way the platform says no, as one list of stable codes.

A code is a promise to whoever calls the API: it never changes its spelling or its meaning.
A :class:`Refusal` is a code and the facts that its sentence needs. It carries no sentence: a
person reads it in their own language, and a program reads the code. Refusing changes
nothing: whatever was refused has not happened, not even in part.
"""

from enum import StrEnum


class Code(StrEnum):
    """Why something was refused. The details each one carries are named beside it."""

    # Who asks.
    UNAUTHENTICATED = "unauthenticated"
    SIGN_IN_CODE_WRONG = "sign_in_code_wrong"  # tries_left
    SIGN_IN_CODE_EXPIRED = "sign_in_code_expired"
    SESSION_ENDED = "session_ended"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"  # also for what is somebody else's
    STILL_OPEN = "still_open"  # what: words of StillOpen, a comma between two

    # How it is asked.
    INVALID_REQUEST = "invalid_request"
    TOO_LARGE = "too_large"
    TOO_MANY_REQUESTS = "too_many_requests"  # retry_after_s
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    ALREADY_DONE = "already_done"
    TRY_AGAIN = "try_again"  # retry_after_s

    # Renting.
    WRONG_STATE = "wrong_state"  # state, event
    BANK_UNAVAILABLE = "bank_unavailable"  # why: reasons of WhyNot, a comma between two
    ALREADY_TAKEN = "already_taken"
    BANK_BUSY = "bank_busy"
    JOB_ENDED = "job_ended"
    NOT_AT_DOOR = "not_at_door"
    RENTER_MAY_COME = "renter_may_come"  # retry_after_s
    BANK_IN_HAND = "bank_in_hand"  # bank
    CANCEL_COSTS = "cancel_costs"  # fee_minor, seen_minor, currency
    NOBODY_NEAR = "nobody_near"
    SWAPPED_TOO_OFTEN = "swapped_too_often"  # most
    CLAIMED_TOO_OFTEN = "claimed_too_often"
    OPERATOR_DECIDES = "operator_decides"
    NOT_IN_DOUBT = "not_in_doubt"

    # Handing over.
    WRONG_BANK = "wrong_bank"  # expected, scanned: banks' ids
    BAD_CODE = "bad_code"  # tries_left
    CODE_LOCKED = "code_locked"
    PROOF_REQUIRED = "proof_required"  # giver, taker, proof
    WRONG_HANDS = "wrong_hands"  # giver, taker
    CUSTODY_DISAGREES = "custody_disagrees"  # state, holder
    SOLD_FOR_GOOD = "sold_for_good"

    # Money.
    DISCLOSURE_NOT_ACCEPTED = "disclosure_not_accepted"
    DEPOSIT_NOT_HELD = "deposit_not_held"
    PAYMENT_IN_DOUBT = "payment_in_doubt"
    NOTHING_TO_PAY = "nothing_to_pay"
    NOTHING_TO_REFUND = "nothing_to_refund"
    MORE_THAN_BILLED = "more_than_billed"  # left_minor, of the bill; currency
    MORE_THAN_DISPUTED = "more_than_disputed"  # disputed_minor, currency
    DISPUTE_TOO_LATE = "dispute_too_late"
    ALREADY_DISPUTED = "already_disputed"
    AMOUNT_MISMATCH = "amount_mismatch"  # expected_minor, got_minor, currency
    UNKNOWN_CURRENCY = "unknown_currency"  # currency
    OVERDRAWN = "overdrawn"  # account, currency, balance_minor
    NO_PAYOUT_ACCOUNT = "no_payout_account"
    WITHDRAWAL_TOO_SMALL = "withdrawal_too_small"  # minimum_minor, currency
    WITHDRAWAL_TOO_LARGE = "withdrawal_too_large"  # available_minor, currency
    PROVIDER_AWAY = "provider_away"
    BAD_SIGNATURE = "bad_signature"

    # Lending.
    MERCHANT_NOT_APPROVED = "merchant_not_approved"
    MERCHANT_NAME_TAKEN = "merchant_name_taken"
    UNKNOWN_TIMEZONE = "unknown_timezone"  # timezone
    BANK_ALREADY_REGISTERED = "bank_already_registered"  # bank
    STAFF_ALREADY_HIRED = "staff_already_hired"
    STAFF_HAS_BANK = "staff_has_bank"  # bank
    BANK_WITH_RENTAL = "bank_with_rental"  # bank
    BANK_NOT_AT_HOME = "bank_not_at_home"  # bank, holder
    BANK_RECALLED = "bank_recalled"  # bank
    TOO_MANY_BANKS = "too_many_banks"  # most
    BANK_TO_INSPECT = "bank_to_inspect"  # bank
    BAD_HOURS = "bad_hours"  # problem, where: a weekday, or hours
    PLACE_INCOMPLETE = "place_incomplete"
    WEBHOOK_REFUSED = "webhook_refused"  # why
    BAD_TARIFF = "bad_tariff"  # problems: codes of the problems, a comma between two

    # What the linter finds in a tariff; each names the fields it is about.
    TARIFF_NEGATIVE = "tariff_negative"
    TARIFF_GAP = "tariff_gap"
    TARIFF_CAP_UNDER_BLOCK = "tariff_cap_under_block"
    TARIFF_TOTAL_UNDER_CAP = "tariff_total_under_cap"
    TARIFF_NO_DEPOSIT = "tariff_no_deposit"
    TARIFF_DEPOSIT_OVER_TOTAL = "tariff_deposit_over_total"
    TARIFF_OUT_OF_RANGE = "tariff_out_of_range"
    TARIFF_CANCEL_OVER_TOTAL = "tariff_cancel_over_total"
    TARIFF_CANCEL_FALLS = "tariff_cancel_falls"
    TARIFF_BAD_BATTERY = "tariff_bad_battery"
    TARIFF_MARKET_CURRENCY = "tariff_market_currency"
    TARIFF_MARKET_BLOCK = "tariff_market_block"
    TARIFF_MARKET_FREE = "tariff_market_free"
    TARIFF_MARKET_ROUNDING = "tariff_market_rounding"
    TARIFF_MARKET_BATTERY = "tariff_market_battery"

    # What is wrong with a file of banks, or with one row of it.
    CSV_UNREADABLE = "csv_unreadable"
    CSV_BAD_HEADER = "csv_bad_header"  # expected
    CSV_TOO_MANY_ROWS = "csv_too_many_rows"  # most
    CSV_ROW_WIDTH = "csv_row_width"  # expected, got
    CSV_BAD_BANK_ID = "csv_bad_bank_id"
    CSV_BAD_MODEL = "csv_bad_model"
    CSV_BAD_BATCH = "csv_bad_batch"
    CSV_REPEATED = "csv_repeated"  # bank, line


class Refusal(Exception):  # noqa: N818 - a rule saying no is an answer, not an error
    """A rule said no."""

    def __init__(self, code: Code, **detail: str | int) -> None:
        self.code = code
        self.detail: dict[str, str | int] = detail
        """What the sentence needs to name: states, amounts, tries left."""
        facts = ", ".join(f"{name}={value}" for name, value in detail.items())
        super().__init__(f"{code}: {facts}" if facts else str(code))
