"""Queries on merchants, staff, banks and tariffs; custody moves among them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from backend.db.tables.dispatch import ShiftRow
from backend.db.tables.market import (
    BankRow,
    CustodyMoveRow,
    MerchantRow,
    MerchantStatus,
    StaffRow,
    TariffRow,
)
from backend.db.tables.rentals import OCCUPYING, JobRow, RentalRow
from backend.domain.custody import Holder
from backend.principal import Standing

# -- merchants and their staff ---------------------------------------------------------


def merchant(session: Session, merchant_id: str) -> MerchantRow:
    """A merchant that something in the database refers to."""
    return session.exec(select(MerchantRow).where(MerchantRow.id == merchant_id)).one()


def find_merchant(session: Session, merchant_id: str) -> MerchantRow | None:
    """A merchant, whoever asks: for the operator."""
    return session.get(MerchantRow, merchant_id)


def owned_merchant(session: Session, merchant_id: str, *, owner_id: str) -> MerchantRow | None:
    """A merchant, if this person owns it."""
    return session.exec(
        select(MerchantRow).where(MerchantRow.id == merchant_id, MerchantRow.owner_id == owner_id)
    ).first()


def merchants_of(session: Session, owner_id: str) -> Sequence[MerchantRow]:
    """The merchants this person owns, oldest first."""
    return session.exec(
        select(MerchantRow).where(MerchantRow.owner_id == owner_id).order_by(col(MerchantRow.id))
    ).all()


def merchants(
    session: Session, *, status: MerchantStatus | None, after: str, limit: int
) -> Sequence[MerchantRow]:
    """A page of all merchants, oldest first."""
    found = select(MerchantRow).where(col(MerchantRow.id) > after)
    if status is not None:
        found = found.where(MerchantRow.status == status)
    return session.exec(found.order_by(col(MerchantRow.id)).limit(limit)).all()


def merchant_name_taken(session: Session, *, owner_id: str, name: str) -> bool:
    """Whether this person already has a merchant of this name."""
    taken = select(MerchantRow.id).where(MerchantRow.owner_id == owner_id, MerchantRow.name == name)
    return session.exec(taken).first() is not None


def move_merchant(
    session: Session, merchant_id: str, *, old: MerchantStatus, new: MerchantStatus
) -> bool:
    """Change a merchant's status, if it still is the old one."""
    moved = session.exec(
        update(MerchantRow)
        .where(col(MerchantRow.id) == merchant_id, col(MerchantRow.status) == old)
        .values(status=new)
    )
    return moved.rowcount == 1


def staff(session: Session, merchant_id: str) -> Sequence[StaffRow]:
    """Who works for this merchant now."""
    return session.exec(
        select(StaffRow)
        .where(StaffRow.merchant_id == merchant_id, col(StaffRow.left_at).is_(None))
        .order_by(col(StaffRow.id))
    ).all()


def staff_member(session: Session, staff_id: str, *, merchant_id: str) -> StaffRow | None:
    """Somebody who works, or worked, for this merchant."""
    return session.exec(
        select(StaffRow).where(StaffRow.id == staff_id, StaffRow.merchant_id == merchant_id)
    ).first()


def end_employment(session: Session, staff_id: str, *, now: datetime) -> bool:
    """Have somebody work here no more; False if they had left before."""
    ended = session.exec(
        update(StaffRow)
        .where(col(StaffRow.id) == staff_id, col(StaffRow.left_at).is_(None))
        .values(left_at=now)
    )
    return ended.rowcount == 1


def on_shift(session: Session, merchant_id: str) -> dict[str, datetime]:
    """Who takes jobs of this merchant now, by person, and since when."""
    found = select(ShiftRow.person_id, ShiftRow.started_at).where(
        ShiftRow.merchant_id == merchant_id, col(ShiftRow.ended_at).is_(None)
    )
    return dict(session.exec(found).all())


def staff_names(session: Session, merchant_id: str) -> dict[str, str]:
    """The names by which a merchant knows its staff, former ones too, by person."""
    rows = session.exec(select(StaffRow).where(StaffRow.merchant_id == merchant_id))
    return {row.person_id: row.name for row in rows}


def employers(session: Session, person_id: str) -> Sequence[str]:
    """Ids of the merchants that this person works for now."""
    return session.exec(
        select(StaffRow.merchant_id).where(
            StaffRow.person_id == person_id, col(StaffRow.left_at).is_(None)
        )
    ).all()


def standing(session: Session, person_id: str) -> Standing:
    """A person's place in the trade."""
    return Standing(
        merchant_ids=frozenset(row.id for row in merchants_of(session, person_id)),
        staff_of=frozenset(employers(session, person_id)),
    )


def team(session: Session, merchant_id: str) -> tuple[str, ...]:
    """Ids of the owner and of who works for this merchant now, each once."""
    people = [merchant(session, merchant_id).owner_id]
    people += [row.person_id for row in staff(session, merchant_id)]
    return tuple(dict.fromkeys(people))


# -- tariffs ---------------------------------------------------------------------------


def tariffs(session: Session, merchant_id: str) -> Sequence[TariffRow]:
    """All versions, newest first."""
    return session.exec(
        select(TariffRow)
        .where(TariffRow.merchant_id == merchant_id)
        .order_by(col(TariffRow.version).desc())
    ).all()


def tariff(session: Session, merchant_id: str) -> TariffRow | None:
    """The version in force; None if there is no tariff, and so nothing is for rent."""
    return next(iter(tariffs(session, merchant_id)), None)


# -- banks and custody -----------------------------------------------------------------


def bank(session: Session, bank_id: str) -> BankRow:
    """A bank that something in the database refers to."""
    return session.exec(select(BankRow).where(BankRow.id == bank_id)).one()


def find_bank(session: Session, bank_id: str) -> BankRow | None:
    """A bank by its id."""
    return session.get(BankRow, bank_id)


def lock_bank(session: Session, bank_id: str) -> BankRow:
    """A bank, locked for this transaction and read anew: nobody else decides by it until we end.

    The rental that needs it is locked first. Whoever has no rental yet, and asks for one, locks
    the bank alone; and whoever finds a new rental only then, takes it then.
    """
    found = select(BankRow).where(BankRow.id == bank_id).with_for_update(key_share=True)
    return session.exec(found.execution_options(populate_existing=True)).one()


def lock_lendable(session: Session, bank_id: str) -> BankRow | None:
    """A bank that may still go out, locked; None if it may not, or somebody decides by it now."""
    found = select(BankRow).where(
        BankRow.id == bank_id,
        BankRow.holder == Holder.MERCHANT,
        col(BankRow.is_offered).is_(True),
        col(BankRow.is_recalled).is_(False),
        col(BankRow.is_to_inspect).is_(False),
    )
    locked = found.with_for_update(skip_locked=True, key_share=True)
    return session.exec(locked.execution_options(populate_existing=True)).first()


def merchants_of_banks(session: Session, bank_ids: Sequence[str]) -> dict[str, str]:
    """Whose each of these banks is; one that nobody reported is absent."""
    found = select(BankRow.id, BankRow.merchant_id).where(col(BankRow.id).in_(bank_ids))
    return dict(session.exec(found).all())


def bank_by_token(session: Session, qr_token: str) -> BankRow | None:
    """The bank whose label says this."""
    return session.exec(select(BankRow).where(BankRow.qr_token == qr_token)).first()


def banks(session: Session, merchant_id: str) -> Sequence[BankRow]:
    """A merchant's banks, by id."""
    return session.exec(
        select(BankRow).where(BankRow.merchant_id == merchant_id).order_by(col(BankRow.id))
    ).all()


def banks_in_hand(session: Session, person_id: str, *, merchant_id: str) -> Sequence[str]:
    """Ids of the merchant's banks that this member of staff has."""
    return session.exec(
        select(BankRow.id).where(
            BankRow.merchant_id == merchant_id,
            BankRow.holder == Holder.STAFF,
            BankRow.holder_id == person_id,
        )
    ).all()


def rental_with(session: Session, bank_id: str) -> str | None:
    """The rental that needs this bank, if one does."""
    return session.exec(
        select(RentalRow.id).where(
            RentalRow.bank_id == bank_id, col(RentalRow.state).in_(OCCUPYING)
        )
    ).first()


def moves(session: Session, bank_id: str, *, limit: int) -> Sequence[CustodyMoveRow]:
    """How a bank came to where it is, newest first."""
    return session.exec(
        select(CustodyMoveRow)
        .where(CustodyMoveRow.bank_id == bank_id)
        .order_by(col(CustodyMoveRow.id).desc())
        .limit(limit)
    ).all()


def offer(session: Session, bank_id: str, *, is_offered: bool) -> bool:
    """Put a bank up for rent, or hold it back; False if it is not at home."""
    moved = session.exec(
        update(BankRow)
        .where(col(BankRow.id) == bank_id, col(BankRow.holder) == Holder.MERCHANT)
        .values(is_offered=is_offered)
    )
    return moved.rowcount == 1


def pass_inspection(session: Session, bank_id: str) -> bool:
    """Note that a bank was looked over and may go out; False if it is not at home."""
    moved = session.exec(
        update(BankRow)
        .where(col(BankRow.id) == bank_id, col(BankRow.holder) == Holder.MERCHANT)
        .values(is_to_inspect=False, is_offered=True)
    )
    return moved.rowcount == 1


def reserved(session: Session, bank_ids: Sequence[str]) -> frozenset[str]:
    """Which of these banks a rental needs."""
    return frozenset(
        session.exec(
            select(RentalRow.bank_id).where(
                col(RentalRow.bank_id).in_(bank_ids), col(RentalRow.state).in_(OCCUPYING)
            )
        )
    )


def move_custody(session: Session, move: CustodyMoveRow, *, is_offered: bool = False) -> bool:
    """Write a custody move down, if the giver still has the bank.

    Args:
        session: the transaction.
        move: the whole move, with its proof.
        is_offered: whether the merchant, in taking it back, puts it up for rent again.
    """
    moved = session.exec(
        update(BankRow)
        .where(
            col(BankRow.id) == move.bank_id,
            col(BankRow.holder) == move.giver,
            col(BankRow.holder_id).is_not_distinct_from(move.giver_id),
        )
        .values(
            holder=move.taker,
            holder_id=move.taker_id,
            held_since=move.at,
            is_offered=is_offered,
        )
    )
    session.add(move)
    return moved.rowcount == 1


def bank_is_home(session: Session, bank_id: str) -> None:
    """Let no job say that its staff have this bank."""
    session.exec(
        update(JobRow)
        .where(col(JobRow.bank_id) == bank_id, col(JobRow.has_bank).is_(True))
        .values(has_bank=False)
    )


def needs_inspection(session: Session, bank_id: str) -> None:
    """Have a bank stay at home, when it is there, until its merchant offers it again."""
    session.exec(
        update(BankRow)
        .where(col(BankRow.id) == bank_id)
        .values(is_to_inspect=True, is_offered=False)
    )


def count_banks(session: Session, merchant_id: str) -> int:
    """How many banks a merchant has."""
    return session.exec(
        select(func.count()).select_from(BankRow).where(BankRow.merchant_id == merchant_id)
    ).one()
