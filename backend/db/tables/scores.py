"""How good each merchant is to rent from, as last worked out: what dispatch ranks by."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel


class MerchantScoreRow(SQLModel, table=True):
    """A merchant's record and score. Without a row, a merchant counts as one who just began."""

    __tablename__ = "merchant_score"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("on_time BETWEEN 0 AND deliveries", name="ck_merchant_score_on_time"),
        CheckConstraint("average_charge_pct BETWEEN 0 AND 100", name="ck_merchant_score_charge"),
        CheckConstraint("score BETWEEN 0 AND 100", name="ck_merchant_score"),
    )

    merchant_id: str = Field(primary_key=True, foreign_key="merchant.id", max_length=26)
    deliveries: int
    """Those that counted, within the window."""
    on_time: int
    average_charge_pct: int | None
    """Of the banks at home; None: none is heard of."""
    score: int
    counted_at: datetime
    due_at: datetime = Field(index=True)
    """When to work it out again."""
