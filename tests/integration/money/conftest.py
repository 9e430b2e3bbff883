"""The world of the rentals' tests, with hands for deadlines, disputes and what goes back."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlmodel import select

from backend import sweeps
from backend.db import credits as notes
from backend.db import disputes as disputed
from backend.db import rentals
from backend.db.tables.credits import CreditNoteRow
from backend.db.tables.money import DepositRow
from backend.db.tables.rentals import RentalRow
from backend.domain.credit import CreditKind
from backend.domain.ledger import AccountCode
from backend.domain.money import Minor
from backend.payments.port import PaymentStatus, ProviderPayment
from backend.principal import Principal, Scope
from backend.services import credits as crediting
from backend.services import disputes, payments, refunds
from backend.services.verify import verify
from tests.integration.rentals.conftest import World, world

__all__ = ["world"]

BILL = 900
"""An hour of the tests' price, and the delivery."""
DEPOSIT = 9900


@dataclass
class Till:
    """A renter's money, in a world where one bank may be rented."""

    world: World
    merchant: str
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def renter(self) -> Any:
        return self.world.people["renter"]

    @property
    def owner(self) -> Any:
        return self.world.people["owner"]

    @property
    def operator(self) -> Principal:
        return Principal(
            person_id=self.id_of("operator"),
            sign_in_id="",
            scopes=frozenset({Scope.OPERATOR}),
            expires_at=self.world.clock.now(),
        )

    def id_of(self, who: str) -> str:
        """Somebody's id, asked for once."""
        if who not in self.ids:
            self.ids[who] = self.world.id_of(who)
        return self.ids[who]

    # -- a rental that costs

    def unpaid(self) -> str:
        """Billed, and past its deadline."""
        rental = self.world.payment_due()
        self.world.clock.turn(hours=24)
        return rental

    def paid(self) -> str:
        """Billed and paid."""
        rental, ref = self.world.bill_asked()
        self.hears(self.agree(ref))
        assert self.world.state(rental) == "completed"
        self.world.send()
        return rental

    def agree(self, ref: str) -> ProviderPayment:
        return self.world.provider.agree(ref)

    def hears(self, payment: ProviderPayment) -> None:
        """The provider tells what it knows."""
        assert self.world.notice(payment).status_code == 204

    def pay(self, rental: str) -> str:
        """Ask to pay: the provider's ref of it."""
        payment = self.renter.did(f"/rentals/{rental}/payment")
        self.world.send()
        return self.world.ref(payment["id"])

    # -- what runs by itself in life

    def deadlines(self) -> int:
        return sweeps.act_on_deadlines(self.world.database, now=self.world.clock.now())

    def secure(self) -> int:
        return sweeps.secure_holds(self.world.database, now=self.world.clock.now())

    def spend(self) -> int:
        return sweeps.spend_deposits(self.world.database, now=self.world.clock.now())

    def settle(self) -> int:
        return sweeps.settle_due(self.world.database, now=self.world.clock.now())

    def all_runs(self) -> None:
        """Everything that runs by itself, until nothing is left to do."""
        quiet = 0
        for _ in range(12):
            done = self.deadlines() + self.secure() + self.spend() + self.world.send()
            quiet = 0 if done else quiet + 1
            if quiet > 1:
                return
            self.world.clock.turn(seconds=5)

    # -- what is put right

    def credit(
        self,
        rental: str,
        amount: int,
        kind: CreditKind = CreditKind.CORRECTION,
        *,
        evidence: str = "",
    ) -> CreditNoteRow:
        with self.world.database.writing() as session:
            return crediting.credit(
                session,
                rentals.read(session, rental),
                amount_minor=Minor(amount),
                kind=kind,
                why="a mistake",
                by_id=None,
                evidence=evidence,
                now=self.world.clock.now(),
            )

    def dispute(self, rental: str, amount: int, reason: str = "it was empty") -> str:
        body = {"disputed_minor": amount, "reason": reason}
        return str(self.renter.did(f"/rentals/{rental}/disputes", body)["id"])

    def decide(self, dispute_id: str, granted: int) -> None:
        with self.world.database.writing() as session:
            disputes.decide(
                session,
                who=self.operator,
                dispute_id=dispute_id,
                granted_minor=Minor(granted),
                reason="the log says so",
                now=self.world.clock.now(),
            )

    def refund_unmatched(self, inbox_id: str) -> None:
        with self.world.database.writing() as session:
            refunds.refund_unmatched(
                session,
                who=self.operator,
                provider="fake",
                inbox_id=inbox_id,
                reason="nobody knows it",
                now=self.world.clock.now(),
            )

    # -- looking

    def deposit(self, rental: str) -> tuple[str, int, int]:
        """State, captured, billed."""
        with self.world.database.reading() as session:
            row = session.exec(select(DepositRow).where(DepositRow.rental_id == rental)).one()
            return row.state.value, row.captured_minor, row.billed_minor

    def row(self, rental: str) -> RentalRow:
        with self.world.database.reading() as session:
            return rentals.read(session, rental)

    def owed(self, rental: str) -> int:
        with self.world.database.reading() as session:
            return payments.owed_minor(session, rentals.read(session, rental))

    def frozen(self, rental: str) -> int:
        with self.world.database.reading() as session:
            return disputed.frozen_minor(session, rental)

    def mine(self, account: str) -> int:
        """The balance of an account of the renter's, or of the merchant's."""
        owner = self.merchant if account.startswith("merchant") else self.id_of("renter")
        return self.world.balance(f"{account}:{owner}")

    def balances(self) -> None:
        """The books say what the rentals, the provider and the notes say."""
        with self.world.database.reading() as session:
            assert verify(session).breaks == ()
            rows = session.exec(select(RentalRow)).all()
            owed = sum(payments.owed_minor(session, row) for row in rows)
            shares = [crediting.bill_of(session, row).shares for row in rows]
            merchants = sum(
                notes.standing_minor(session, row.id, AccountCode(f"{kind}:{self.merchant}"))
                for row in rows
                for kind in ("merchant_pending", "merchant_available")
            )
            debt = self.mine("merchant_debt")
        assert self.mine("receivable") == owed
        assert self.world.balance("platform_revenue") == sum(s.platform_minor for s in shares)
        assert merchants - debt == sum(s.merchant_minor for s in shares)

    def agrees_with_provider(self) -> None:
        """Our cash and holds are what the provider says that it has."""
        told = self.world.provider.payments.values()
        cash = sum(each.captured_minor - each.refunded_minor for each in told)
        held = sum(each.amount_minor for each in told if each.status is PaymentStatus.AUTHORIZED)
        assert self.world.balance("provider_cash") == cash
        assert self.world.balance("provider_holds") == held


@pytest.fixture
def till(world: World) -> Till:
    return Till(world=world, merchant=world.market())
