"""The world of the rentals' tests, with hands for what settles and pays out."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from backend import sweeps
from backend.limits import PayoutLimits
from backend.payments.port import PayoutStatus, Provider
from backend.services.verify import Break, verify
from backend.services.withdrawals import learn
from tests.integration.rentals.conftest import World, world

__all__ = ["world"]

ACCOUNT = "acct_0123456789abcdef"


@dataclass
class Books:
    """A merchant's money, in a world where one bank may be rented."""

    world: World
    merchant: str
    limits: PayoutLimits = field(default_factory=PayoutLimits)

    @property
    def owner(self) -> Any:
        return self.world.people["owner"]

    # -- a rental that brings money

    def paid(self) -> str:
        """A rental that is paid: the bill is 900, of which 810 are the merchant's."""
        rental, ref = self.world.bill_asked()
        assert self.world.notice(self.world.provider.agree(ref)).status_code == 204
        assert self.world.state(rental) == "completed"
        return rental

    def settled(self) -> str:
        """The same, a week and a bit later."""
        rental = self.paid()
        self.world.clock.turn(days=7)
        assert self.settle() == 1
        return rental

    def with_account(self, account: str = ACCOUNT) -> None:
        self.owner.did(f"/merchants/{self.merchant}/payout-account", {"account": account})

    def told(self, withdrawal: str, end: str) -> None:
        """The provider's last word on a withdrawal."""
        payout = self.world.provider.change_payout(withdrawal, status=PayoutStatus(end))
        with self.world.database.writing() as session:
            now = self.world.clock.now()
            assert learn(session, payout, provider="fake", now=now) is None

    # -- what runs by itself in life

    def settle(self) -> int:
        return sweeps.settle_due(self.world.database, now=self.world.clock.now())

    def send(self, **providers: Provider) -> int:
        return sweeps.send_withdrawals(
            self.world.database,
            providers or {"fake": self.world.provider},
            limits=self.limits,
            now=self.world.clock.now(),
        )

    # -- looking

    def withdraw(self, amount_minor: int, **how: Any) -> Any:
        body = {"amount_minor": amount_minor}
        return self.owner.post(f"/merchants/{self.merchant}/withdrawals", body, **how)

    def asked(self, amount_minor: int = 810) -> str:
        """A withdrawal, by its id."""
        answer = self.withdraw(amount_minor)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def withdrawal(self, withdrawal_id: str) -> dict[str, Any]:
        path = f"/merchants/{self.merchant}/withdrawals/{withdrawal_id}"
        return dict(self.owner.sees(path))

    def settlement(self) -> dict[str, Any]:
        return dict(self.owner.sees(f"/merchants/{self.merchant}/settlement"))

    def lines(self, of: str, **query: Any) -> list[dict[str, Any]]:
        path = f"/merchants/{self.merchant}/ledger"
        return list(self.owner.sees(path, of=of, **query)["items"])

    def breaks(self) -> list[Break]:
        """What ``lendwatt verify`` finds."""
        with self.world.database.reading() as session:
            return list(verify(session).breaks)

    def stands(self) -> tuple[int, int, int]:
        """Pending, withdrawable, in payout."""
        shown = self.settlement()
        return (
            shown["pending_minor"],
            shown["withdrawable_minor"],
            shown["in_payout_minor"],
        )


@pytest.fixture
def books(world: World) -> Books:
    return Books(world=world, merchant=world.market())
