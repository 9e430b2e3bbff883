"""The books: every move of money as a transfer between accounts, from the first cent.

The theory
----------
Double entry. A **posting** puts an amount on an account: debit is positive, credit is
negative. A **transfer** is a set of postings in one currency that sum to zero, or it cannot
be made; so money is neither made nor lost, only moved. Nothing is changed afterwards: a
correction is another transfer. A balance is the sum of an account's postings (:class:`Book`). It
is kept beside them, so that writing adds up nothing; and each posting says which of its
account's it is, and what the balance became, so that one that is gone shows in the next. A
transfer's :func:`digest` shows what was changed in itself.

======================  ===========  ==========================================================
account                 natural side  what its balance means
======================  ===========  ==========================================================
provider_holds          debit        set aside for us at the provider, not ours
provider_cash           debit        ours, lying at the provider
provider_topups         credit       paid in there by the platform, or to be: more went out than
                                     had come in
receivable:renter       debit        billed to the renter and not yet paid
deposit:renter          credit       the renter's own money that we hold: a **liability**,
                                     never revenue, until a bill takes from it
refund_due:renter       credit       owed back to the renter
merchant_pending:m      credit       the merchant's share, within the dispute window
merchant_available:m    credit       the merchant's share, theirs to withdraw
payout_in_flight:m      credit       on its way to the merchant: neither to withdraw again nor gone
merchant_debt:m         debit        given back for a merchant that had it no more
unclaimed               credit       came in and fits nothing of ours: to go back
platform_revenue        credit       commissions earned
======================  ===========  ==========================================================

A debit account's balance is zero or positive, a credit account's zero or negative. Only the
platform's revenue may cross over (giving back more commission than it earned in a currency):
for anybody else that would be money promised that is not there (:func:`may_go_negative`).

One rental: the hold is noted (``deposit_held``); the bill creates a receivable and divides
it at once between merchant and platform by the rule snapshotted on the rental
(``rental_billed``); the renter pays (``rental_paid``) and the hold is freed
(``deposit_released``); or the deposit pays as far as it goes (``deposit_captured``).
A second payment for what is paid already is owed back (``payment_surplus``), and a bill put
right afterwards too (``bill_credited``); ``payment_refunded`` is when it went. A bill put right
before it was paid is owed no more (``bill_reduced``).

A deposit that had to be taken although less was owed, or nothing yet (its hold was about to run
out), becomes cash and stays the renter's (``deposit_secured``); bills take from it
(``deposit_applied``), and the rest goes back (``deposit_returned``).

What a provider did is a fact, also where the books have less cash than it sent: a refund months
later, when the merchants took out what they earned. Then the platform owes the provider the
difference, or had money of its own there. It counts as paid in the moment before
(``provider_topped_up``): cash never goes below zero, and no fact is refused.

A merchant gives their part of a credit note back out of what is pending of that rental, then out
of what is theirs. What they have neither way, since they withdrew it, the platform lays out for
them and notes as ``merchant_debt``: the renter does not wait for it, the platform's revenue does
not hide it, and nothing goes below zero. What becomes available to them repays it first
(``debt_repaid``).

What a provider said that it sent back may come back to us, since no account takes it any more: then
it is owed again (``refund_returned``), and goes once more.

A payment that fits none of ours is noted when an operator has it sent back
(``unclaimed_received``), and leaves when it went (``unclaimed_refunded``).

When the dispute window is over, the merchant's share is theirs (``rental_settled``). A withdrawal
takes it out of their reach first (``withdrawal_asked``); then it has gone (``withdrawal_paid``) or
is theirs again (``withdrawal_failed``), as it is if it comes back later (``withdrawal_returned``).

Each transfer's **key** is made from the thing that it happens to, so that writing it twice is
impossible, whoever tries: a hold ends once, a rental is billed once, a payment counts once
(for its bill, or as surplus), and a withdrawal, like a hold, ends once; if it had gone, it comes
back once. A refund goes once, and once more each time that it came back.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType, Self

from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Currency, Minor, split

AccountCode = NewType("AccountCode", str)
"""``kind`` or ``kind:owner``."""


class AccountKind(StrEnum):
    """What an account's balance means; see the module's table."""

    PROVIDER_HOLDS = "provider_holds"
    PROVIDER_CASH = "provider_cash"
    PROVIDER_TOPUPS = "provider_topups"
    RECEIVABLE = "receivable"
    DEPOSIT = "deposit"
    REFUND_DUE = "refund_due"
    MERCHANT_PENDING = "merchant_pending"
    MERCHANT_AVAILABLE = "merchant_available"
    PAYOUT_IN_FLIGHT = "payout_in_flight"
    MERCHANT_DEBT = "merchant_debt"
    UNCLAIMED = "unclaimed"
    PLATFORM_REVENUE = "platform_revenue"


DEBIT_KINDS: Final = frozenset(
    {
        AccountKind.PROVIDER_HOLDS,
        AccountKind.PROVIDER_CASH,
        AccountKind.RECEIVABLE,
        AccountKind.MERCHANT_DEBT,
    }
)
"""Assets: their natural balance is positive. All other kinds' is negative."""

PROVIDER_HOLDS: Final = AccountCode(AccountKind.PROVIDER_HOLDS)
PROVIDER_CASH: Final = AccountCode(AccountKind.PROVIDER_CASH)
PROVIDER_TOPUPS: Final = AccountCode(AccountKind.PROVIDER_TOPUPS)
UNCLAIMED: Final = AccountCode(AccountKind.UNCLAIMED)
PLATFORM_REVENUE: Final = AccountCode(AccountKind.PLATFORM_REVENUE)


def receivable(renter: str) -> AccountCode:
    """Billed to this renter, not yet paid."""
    return _owned(AccountKind.RECEIVABLE, renter)


def deposit_liability(renter: str) -> AccountCode:
    """This renter's own money, held."""
    return _owned(AccountKind.DEPOSIT, renter)


def refund_due(renter: str) -> AccountCode:
    """Owed back to this renter."""
    return _owned(AccountKind.REFUND_DUE, renter)


def merchant_pending(merchant: str) -> AccountCode:
    """This merchant's share, within the dispute window."""
    return _owned(AccountKind.MERCHANT_PENDING, merchant)


def merchant_available(merchant: str) -> AccountCode:
    """This merchant's share, theirs to withdraw."""
    return _owned(AccountKind.MERCHANT_AVAILABLE, merchant)


def payout_in_flight(merchant: str) -> AccountCode:
    """On its way to this merchant."""
    return _owned(AccountKind.PAYOUT_IN_FLIGHT, merchant)


def merchant_debt(merchant: str) -> AccountCode:
    """Laid out for this merchant, to be repaid."""
    return _owned(AccountKind.MERCHANT_DEBT, merchant)


def _owned(kind: AccountKind, owner: str) -> AccountCode:
    if not owner or ":" in owner:
        msg = f"an account's owner is an id without a colon: {owner!r}"
        raise ValueError(msg)
    return AccountCode(f"{kind}:{owner}")


def kind_of(account: AccountCode) -> AccountKind:
    """Give the kind that an account's code begins with."""
    return AccountKind(account.partition(":")[0])


def natural(account: AccountCode, balance_minor: int) -> Minor:
    """Read a balance from the account's natural side: what is there is positive."""
    return Minor(balance_minor if kind_of(account) in DEBIT_KINDS else -balance_minor)


def may_go_negative(account: AccountCode) -> bool:
    """Whether the balance may cross to the other side of the account's natural one."""
    return kind_of(account) is AccountKind.PLATFORM_REVENUE


class TransferKind(StrEnum):
    """Why money moved."""

    DEPOSIT_HELD = "deposit_held"
    DEPOSIT_RELEASED = "deposit_released"
    DEPOSIT_CAPTURED = "deposit_captured"
    RENTAL_BILLED = "rental_billed"
    RENTAL_PAID = "rental_paid"
    PAYMENT_SURPLUS = "payment_surplus"
    BILL_CREDITED = "bill_credited"
    PAYMENT_REFUNDED = "payment_refunded"
    DEPOSIT_SECURED = "deposit_secured"
    DEPOSIT_APPLIED = "deposit_applied"
    DEPOSIT_RETURNED = "deposit_returned"
    BILL_REDUCED = "bill_reduced"
    DEBT_REPAID = "debt_repaid"
    UNCLAIMED_RECEIVED = "unclaimed_received"
    UNCLAIMED_REFUNDED = "unclaimed_refunded"
    RENTAL_SETTLED = "rental_settled"
    WITHDRAWAL_ASKED = "withdrawal_asked"
    WITHDRAWAL_PAID = "withdrawal_paid"
    WITHDRAWAL_FAILED = "withdrawal_failed"
    WITHDRAWAL_RETURNED = "withdrawal_returned"
    REFUND_RETURNED = "refund_returned"
    PROVIDER_TOPPED_UP = "provider_topped_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One account's part in a transfer: debit is positive, credit is negative."""

    account: AccountCode
    amount_minor: Minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One move of money, in one currency. It cannot be made unless it sums to zero."""

    key: str
    """What it happens to: a second transfer of the same key is the same transfer."""
    kind: TransferKind
    currency: Currency
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        accounts = {posting.account for posting in self.postings}
        amounts = [posting.amount_minor for posting in self.postings]
        if sum(amounts) != 0:
            msg = f"{self.key}: the postings sum to {sum(amounts)}, not to zero"
            raise ValueError(msg)
        if not amounts or 0 in amounts or len(accounts) < len(amounts):
            msg = f"{self.key}: each account is posted to once, and not with zero"
            raise ValueError(msg)


def _transfer(
    key: str, kind: TransferKind, currency: Currency, amounts: Mapping[AccountCode, int]
) -> Transfer:
    postings = tuple(
        Posting(account=account, amount_minor=Minor(amount))
        for account, amount in amounts.items()
        if amount != 0
    )
    return Transfer(key=key, kind=kind, currency=currency, postings=postings)


def _positive(amount_minor: Minor) -> int:
    if amount_minor <= 0:
        msg = f"only an amount above zero moves: {amount_minor}"
        raise ValueError(msg)
    return amount_minor


def digest(
    *,
    key: str,
    kind: str,
    currency: str,
    rental_id: str | None,
    at: datetime,
    postings: Iterable[tuple[str, int]],
) -> str:
    """SHA-256 over all that a written transfer says, so that a change to any of it shows.

    It shows a slip or a hand in the database, not somebody who computes it anew.

    Args:
        key: the transfer's.
        kind: the transfer's.
        currency: the transfer's.
        rental_id: which rental it belongs to; None: none.
        at: when it was written, aware.
        postings: account and amount of each, in any order.
    """
    parts = [key, kind, currency, rental_id or "", at.astimezone(UTC).isoformat()]
    parts += [f"{account} {amount}" for account, amount in sorted(postings)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


# -- a bill, divided ---------------------------------------------------------------------

BASIS_POINTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A bill, divided between the merchant and the platform."""

    merchant_minor: Minor
    platform_minor: Minor

    @property
    def total_minor(self) -> Minor:
        """The whole bill."""
        return Minor(self.merchant_minor + self.platform_minor)


def share_out(amount_minor: Minor, *, commission_bp: int) -> Split:
    """Divide a bill by the rule snapshotted on the rental.

    Args:
        amount_minor: the whole.
        commission_bp: the platform's part, in basis points, 0 to 10,000.
    """
    merchant, platform = split(amount_minor, (BASIS_POINTS - commission_bp, commission_bp))
    return Split(merchant_minor=merchant, platform_minor=platform)


# -- the recipes -------------------------------------------------------------------------


def deposit_held(*, hold_id: str, renter: str, currency: Currency, amount_minor: Minor) -> Transfer:
    """Note that the provider set the renter's deposit aside."""
    amount = _positive(amount_minor)
    return _transfer(
        f"deposit:{hold_id}:held",
        TransferKind.DEPOSIT_HELD,
        currency,
        {PROVIDER_HOLDS: amount, deposit_liability(renter): -amount},
    )


def deposit_released(
    *, hold_id: str, renter: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """End a hold without taking anything: released by us, or expired."""
    amount = _positive(amount_minor)
    return _transfer(
        f"deposit:{hold_id}:ended",
        TransferKind.DEPOSIT_RELEASED,
        currency,
        {deposit_liability(renter): amount, PROVIDER_HOLDS: -amount},
    )


def deposit_captured(
    *,
    hold_id: str,
    renter: str,
    currency: Currency,
    held_minor: Minor,
    captured_minor: Minor,
) -> Transfer:
    """End a hold by taking a part of it, or all, for a bill; the rest is free again.

    Args:
        hold_id: the hold.
        renter: who owes the bill.
        currency: of both amounts.
        held_minor: the whole hold.
        captured_minor: what was taken: above zero, not above the hold, not above the bill.
    """
    if not 0 < captured_minor <= held_minor:
        msg = f"of a hold of {held_minor}, {captured_minor} cannot be captured"
        raise ValueError(msg)
    return _transfer(
        f"deposit:{hold_id}:ended",
        TransferKind.DEPOSIT_CAPTURED,
        currency,
        {
            deposit_liability(renter): held_minor,
            PROVIDER_HOLDS: -held_minor,
            PROVIDER_CASH: captured_minor,
            receivable(renter): -captured_minor,
        },
    )


def rental_billed(
    *, rental_id: str, renter: str, merchant: str, currency: Currency, split: Split
) -> Transfer:
    """Bill a rental: the renter owes it, and it is divided from the first moment."""
    return _transfer(
        f"rental:{rental_id}:billed",
        TransferKind.RENTAL_BILLED,
        currency,
        {
            receivable(renter): _positive(split.total_minor),
            merchant_pending(merchant): -split.merchant_minor,
            PLATFORM_REVENUE: -split.platform_minor,
        },
    )


def rental_paid(
    *,
    payment_id: str,
    renter: str,
    currency: Currency,
    amount_minor: Minor,
    surplus_minor: Minor = ZERO,
) -> Transfer:
    """Note that the renter paid a bill, or a part of it.

    Args:
        payment_id: the payment.
        renter: who paid.
        currency: of both amounts.
        amount_minor: what of the payment was owed, above zero.
        surplus_minor: what came beyond that, and is to go back.
    """
    amount = _positive(amount_minor)
    return _transfer(
        f"payment:{payment_id}:paid",
        TransferKind.RENTAL_PAID,
        currency,
        {
            PROVIDER_CASH: amount + surplus_minor,
            receivable(renter): -amount,
            refund_due(renter): -surplus_minor,
        },
    )


def payment_surplus(
    *, payment_id: str, renter: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Note a payment that came although nothing was owed: it is to go back."""
    amount = _positive(amount_minor)
    return _transfer(
        f"payment:{payment_id}:paid",
        TransferKind.PAYMENT_SURPLUS,
        currency,
        {PROVIDER_CASH: amount, refund_due(renter): -amount},
    )


def bill_credited(
    *,
    credit_id: str,
    renter: str,
    merchant: str,
    currency: Currency,
    split: Split,
    available_minor: Minor = ZERO,
    debt_minor: Minor = ZERO,
) -> Transfer:
    """Put a paid bill right in the renter's favour: both sides give up their part of it.

    Args:
        credit_id: the credit note.
        renter: who gets it back.
        merchant: whose rental it was.
        currency: of all amounts.
        split: what merchant and platform give up.
        available_minor: what of the merchant's part is theirs already, and taken from there.
        debt_minor: what of it they have no more; the rest is still pending.
    """
    pending = split.merchant_minor - available_minor - debt_minor
    if min(pending, available_minor, debt_minor) < 0:
        msg = f"of {split.merchant_minor}, {available_minor} and {debt_minor} cannot be"
        raise ValueError(msg)
    return _transfer(
        f"credit:{credit_id}:noted",
        TransferKind.BILL_CREDITED,
        currency,
        {
            refund_due(renter): -_positive(split.total_minor),
            merchant_pending(merchant): pending,
            merchant_available(merchant): available_minor,
            merchant_debt(merchant): debt_minor,
            PLATFORM_REVENUE: split.platform_minor,
        },
    )


def bill_reduced(
    *, credit_id: str, renter: str, merchant: str, currency: Currency, split: Split
) -> Transfer:
    """Put an unpaid bill right: the renter owes less, and both sides give up their part."""
    return _transfer(
        f"credit:{credit_id}:reduced",
        TransferKind.BILL_REDUCED,
        currency,
        {
            receivable(renter): -_positive(split.total_minor),
            merchant_pending(merchant): split.merchant_minor,
            PLATFORM_REVENUE: split.platform_minor,
        },
    )


def debt_repaid(
    *, repayment_id: str, merchant: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Take what was laid out for a merchant from what is theirs now."""
    amount = _positive(amount_minor)
    return _transfer(
        f"debt:{repayment_id}:repaid",
        TransferKind.DEBT_REPAID,
        currency,
        {merchant_available(merchant): amount, merchant_debt(merchant): -amount},
    )


def deposit_secured(
    *,
    hold_id: str,
    renter: str,
    currency: Currency,
    held_minor: Minor,
    captured_minor: Minor,
) -> Transfer:
    """End a hold by taking it as cash that stays the renter's, until a bill takes from it.

    Args:
        hold_id: the hold.
        renter: whose money it is.
        currency: of both amounts.
        held_minor: the whole hold.
        captured_minor: what was taken: above zero, not above the hold; the rest is free again.
    """
    if not 0 < captured_minor <= held_minor:
        msg = f"of a hold of {held_minor}, {captured_minor} cannot be captured"
        raise ValueError(msg)
    return _transfer(
        f"deposit:{hold_id}:ended",
        TransferKind.DEPOSIT_SECURED,
        currency,
        {
            deposit_liability(renter): held_minor - captured_minor,
            PROVIDER_HOLDS: -held_minor,
            PROVIDER_CASH: captured_minor,
        },
    )


def deposit_applied(
    *, hold_id: str, renter: str, currency: Currency, amount_minor: Minor, before_minor: Minor
) -> Transfer:
    """Pay a bill, or a part of it, from a deposit that was secured.

    Args:
        hold_id: the hold it was.
        renter: who owes the bill.
        currency: of both amounts.
        amount_minor: what the bill takes now.
        before_minor: what bills took of this deposit before: it may be more than once.
    """
    amount = _positive(amount_minor)
    return _transfer(
        f"deposit:{hold_id}:applied:{before_minor}",
        TransferKind.DEPOSIT_APPLIED,
        currency,
        {deposit_liability(renter): amount, receivable(renter): -amount},
    )


def deposit_returned(
    *, hold_id: str, refund_id: str, renter: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Owe the renter what no bill takes of a deposit that was secured; a refund brings it."""
    amount = _positive(amount_minor)
    return _transfer(
        f"deposit:{hold_id}:returned:{refund_id}",
        TransferKind.DEPOSIT_RETURNED,
        currency,
        {deposit_liability(renter): amount, refund_due(renter): -amount},
    )


def unclaimed_received(*, refund_id: str, currency: Currency, amount_minor: Minor) -> Transfer:
    """Note money that came in and fits nothing of ours."""
    amount = _positive(amount_minor)
    return _transfer(
        f"refund:{refund_id}:received",
        TransferKind.UNCLAIMED_RECEIVED,
        currency,
        {PROVIDER_CASH: amount, UNCLAIMED: -amount},
    )


def refund_keys(refund_id: str, *, returns: int, is_gone: bool) -> tuple[str, ...]:
    """The keys of a refund's transfers: it went and came back so often, and may have gone since."""
    ends = [end for before in range(returns) for end in _refund_ends(before)]
    ends += _refund_ends(returns)[:is_gone]
    return tuple(f"refund:{refund_id}:{end}" for end in ends)


def _refund_ends(returns: int) -> tuple[str, str]:
    """What becomes of a refund that has come back so often before: it goes, and comes back."""
    time = f":{returns + 1}" if returns else ""
    return f"paid{time}", f"returned{time}"


def unclaimed_refunded(
    *, refund_id: str, currency: Currency, amount_minor: Minor, returns: int = 0
) -> Transfer:
    """Note that it went back to where it came from; or went anew, after it came back so often."""
    amount = _positive(amount_minor)
    return _transfer(
        f"refund:{refund_id}:{_refund_ends(returns)[0]}",
        TransferKind.UNCLAIMED_REFUNDED,
        currency,
        {UNCLAIMED: amount, PROVIDER_CASH: -amount},
    )


def payment_refunded(
    *, refund_id: str, renter: str, currency: Currency, amount_minor: Minor, returns: int = 0
) -> Transfer:
    """Note that what was owed back went back; or went anew, after it came back so often."""
    amount = _positive(amount_minor)
    return _transfer(
        f"refund:{refund_id}:{_refund_ends(returns)[0]}",
        TransferKind.PAYMENT_REFUNDED,
        currency,
        {refund_due(renter): amount, PROVIDER_CASH: -amount},
    )


def refund_returned(
    *,
    refund_id: str,
    renter: str | None,
    currency: Currency,
    amount_minor: Minor,
    returns: int = 0,
) -> Transfer:
    """Note that what had gone back came back to us: it is owed as it was before.

    Args:
        refund_id: the refund.
        renter: whose it is; None: it fits nothing of ours.
        currency: of the amount.
        amount_minor: all of it.
        returns: how often it came back before.
    """
    amount = _positive(amount_minor)
    return _transfer(
        f"refund:{refund_id}:{_refund_ends(returns)[1]}",
        TransferKind.REFUND_RETURNED,
        currency,
        {PROVIDER_CASH: amount, UNCLAIMED if renter is None else refund_due(renter): -amount},
    )


def rental_settled(
    *, rental_id: str, merchant: str, currency: Currency, amount_minor: Minor, is_rest: bool = False
) -> Transfer:
    """Let the merchant have their share of a rental, or the rest of it, after a dispute."""
    amount = _positive(amount_minor)
    return _transfer(
        f"rental:{rental_id}:{'rest_settled' if is_rest else 'settled'}",
        TransferKind.RENTAL_SETTLED,
        currency,
        {merchant_pending(merchant): amount, merchant_available(merchant): -amount},
    )


def withdrawal_asked(
    *, withdrawal_id: str, merchant: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Take what is to be paid out of the merchant's reach, before anybody sends it."""
    amount = _positive(amount_minor)
    return _transfer(
        f"withdrawal:{withdrawal_id}:asked",
        TransferKind.WITHDRAWAL_ASKED,
        currency,
        {merchant_available(merchant): amount, payout_in_flight(merchant): -amount},
    )


def withdrawal_paid(
    *, withdrawal_id: str, merchant: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Note that a withdrawal arrived: our cash is less by it."""
    amount = _positive(amount_minor)
    return _transfer(
        f"withdrawal:{withdrawal_id}:ended",
        TransferKind.WITHDRAWAL_PAID,
        currency,
        {payout_in_flight(merchant): amount, PROVIDER_CASH: -amount},
    )


def withdrawal_failed(
    *, withdrawal_id: str, merchant: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Give a merchant back what could not be paid out."""
    amount = _positive(amount_minor)
    return _transfer(
        f"withdrawal:{withdrawal_id}:ended",
        TransferKind.WITHDRAWAL_FAILED,
        currency,
        {payout_in_flight(merchant): amount, merchant_available(merchant): -amount},
    )


def withdrawal_returned(
    *, withdrawal_id: str, merchant: str, currency: Currency, amount_minor: Minor
) -> Transfer:
    """Give a merchant back what had arrived, and was sent back to us."""
    amount = _positive(amount_minor)
    return _transfer(
        f"withdrawal:{withdrawal_id}:returned",
        TransferKind.WITHDRAWAL_RETURNED,
        currency,
        {PROVIDER_CASH: amount, merchant_available(merchant): -amount},
    )


def covered(transfer: Transfer, *, cash_minor: Minor) -> tuple[Transfer, ...]:
    """Have the platform pay in first what our cash lacks for something that a provider has sent.

    Args:
        transfer: takes what was sent from our cash, and is not in the books yet.
        cash_minor: what there is.

    Returns:
        What to write, in this order.
    """
    sent = -sum(each.amount_minor for each in transfer.postings if each.account == PROVIDER_CASH)
    missing = sent - cash_minor
    if missing <= 0:
        return (transfer,)
    topped_up = _transfer(
        f"{transfer.key}:topped_up",
        TransferKind.PROVIDER_TOPPED_UP,
        transfer.currency,
        {PROVIDER_CASH: missing, PROVIDER_TOPUPS: -missing},
    )
    return (topped_up, transfer)


# -- the fold ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """All transfers so far, folded to balances; what the database's books are checked against."""

    balances: Mapping[tuple[AccountCode, Currency], int] = field(default_factory=dict)
    """Debit positive, credit negative. An account never posted to is absent."""
    keys: frozenset[str] = frozenset()

    @classmethod
    def of(cls, transfers: Iterable[Transfer]) -> Self:
        """Fold transfers in the order they were written."""
        book = cls()
        for transfer in transfers:
            book = book.post(transfer)
        return book

    def balance(self, account: AccountCode, currency: Currency) -> Minor:
        """Debit positive, credit negative, zero if nothing was ever posted."""
        return Minor(self.balances.get((account, currency), 0))

    def post(self, transfer: Transfer) -> Self:
        """Give the book with this transfer in it; one whose key is known changes nothing.

        Raises:
            Refusal: OVERDRAWN, if an account would cross over that may not.
        """
        if transfer.key in self.keys:
            return self
        balances = dict(self.balances)
        for posting in transfer.postings:
            place = (posting.account, transfer.currency)
            balances[place] = balances.get(place, 0) + posting.amount_minor
            check_balance(posting.account, transfer.currency, balances[place])
        return type(self)(balances=balances, keys=self.keys | {transfer.key})


def may_run_short(posting: Posting) -> bool:
    """Whether a posting takes from an account that must not promise what is not there."""
    takes = natural(posting.account, posting.amount_minor) < 0
    return takes and not may_go_negative(posting.account)


def check_balance(account: AccountCode, currency: Currency, balance_minor: int) -> None:
    """Let no account promise money that is not there.

    Raises:
        Refusal: OVERDRAWN, if the balance has crossed over and may not.
    """
    if natural(account, balance_minor) < 0 and not may_go_negative(account):
        raise overdrawn(account, currency, balance_minor)


def overdrawn(account: AccountCode, currency: Currency, balance_minor: int) -> Refusal:
    """Say that an account would have come to this balance, on the wrong side."""
    return Refusal(Code.OVERDRAWN, account=account, currency=currency, balance_minor=balance_minor)
