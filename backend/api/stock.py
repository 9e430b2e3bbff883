"""A merchant's banks: reported one by one or from a file, offered, held back, looked at."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field

from backend.api import words
from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute, SecretRoute
from backend.api.schemas import BankId, Id, In, Out
from backend.api.shapes import BankOut, Limit, Reader, ReasonOut, reasons
from backend.db.tables.market import BankRow, CustodyMoveRow
from backend.domain import bank_list
from backend.domain.bank_list import Fault
from backend.domain.custody import Holder, Proof
from backend.domain.lang import Lang
from backend.services import imports, stock
from backend.services.availability import Looked
from backend.services.imports import Imported, Outcome
from backend.services.stock import Registered

router = APIRouter(
    prefix="/merchants/{merchant_id}/banks", tags=["merchant"], route_class=IdempotentRoute
)
secrets = APIRouter(
    prefix="/merchants/{merchant_id}/banks", tags=["merchant"], route_class=SecretRoute
)
"""Routes that show a secret once: a repeat does nothing, and hears that it is done."""

CSV: Final = "text/csv"
Reason = Annotated[str, Field(min_length=1, max_length=200, examples=["counted in the shop"])]


class BankIn(In):
    """A bank to report."""

    bank_id: BankId
    model: str = Field(pattern=f"^{bank_list.MODEL}$", examples=["LW-10K-A"])
    batch: str = Field(
        default="",
        pattern=f"^{bank_list.BATCH}$",
        description="The maker's production batch: what a recall names.",
        examples=["2026-W40"],
    )


class MqttOut(Out):
    """Where the bank connects."""

    host: str = Field(examples=["mqtt.lendwatt.example"])
    port: int = Field(examples=[8883])


class RegisteredOut(Out):
    """A bank with what it needs to connect. The secret is shown this once."""

    bank: BankOut
    secret: str = Field(description="The MQTT password; the user name and client id are the id.")
    mqtt: MqttOut
    qr_token: str
    qr_url: str = Field(examples=["https://lendwatt.example/b/5rJ2mXg0S4mB0o5nE1c7Q9yY"])

    @classmethod
    def of(cls, made: Registered, parts: AppParts, now: datetime) -> "RegisteredOut":
        """Show what was made."""
        host, port = parts.mqtt
        return cls(
            bank=BankOut.of(made.bank, None, now=now),
            secret=made.secret,
            mqtt=MqttOut(host=host, port=port),
            qr_token=made.bank.qr_token,
            qr_url=_label_url(parts, made.bank),
        )


class StockBankOut(BankOut):
    """A bank, as its merchant sees it."""

    batch: str = Field(examples=["2026-W40"])
    holder: Holder
    held_since: datetime
    is_offered: bool = Field(description="My own word that it may go out.")
    is_to_inspect: bool = Field(description="It goes out again once I have looked it over.")
    is_recalled: bool = Field(description="The platform's word that it must not go out.")
    qr_url: str = Field(examples=["https://lendwatt.example/b/5rJ2mXg0S4mB0o5nE1c7Q9yY"])
    rentable: bool
    why_not: list[ReasonOut]

    @classmethod
    def seen(cls, looked: Looked, parts: AppParts, *, now: datetime, lang: Lang) -> "StockBankOut":
        """Show a bank to its merchant."""
        return cls(**_bank(looked, parts, now=now, lang=lang))


class TotalsOut(Out):
    """How many, over all banks and not only this page's."""

    all: int = Field(examples=[120])
    rentable: int = Field(examples=[87])
    rented: int = Field(description="With renters.", examples=[25])


class StockOut(Out):
    """A page of a merchant's banks, by number."""

    totals: TotalsOut
    items: list[StockBankOut]
    next: str | None = Field(description="Ask with `after` this for the next page; null: none.")


class SampleOut(Out):
    """How full a bank was."""

    at: datetime
    battery_pct: int = Field(examples=[87])


class CustodyOut(Out):
    """A bank changed hands."""

    giver: Holder
    taker: Holder
    proof: Proof
    reason: str = Field(examples=["counted in the shop"])
    rental_id: str | None
    at: datetime

    @classmethod
    def of(cls, move: CustodyMoveRow) -> "CustodyOut":
        """Show a change of hands."""
        return cls.model_validate(move)


class BankDetailOut(StockBankOut):
    """A bank with its history."""

    rental_id: str | None = Field(description="The rental that needs it now.")
    levels: list[SampleOut] = Field(description="Its charge over the time asked for, oldest first.")
    custody: list[CustodyOut] = Field(description="Its last changes of hands, newest first.")


class ReceiveIn(In):
    """Taking a bank back without a scan."""

    reason: Reason


def _bank(looked: Looked, parts: AppParts, *, now: datetime, lang: Lang) -> dict[str, object]:
    bank = looked.bank
    own = ("batch", "holder", "held_since", "is_offered", "is_to_inspect", "is_recalled")
    return {
        **dict(BankOut.of(bank, looked.seen, now=now)),
        **{name: getattr(bank, name) for name in own},
        "qr_url": _label_url(parts, bank),
        "rentable": not looked.why_not,
        "why_not": reasons(looked.why_not, lang),
    }


def _label_url(parts: AppParts, bank: BankRow) -> str:
    return f"{parts.settings.public_url}/b/{bank.qr_token}"


# -- reporting ---------------------------------------------------------------------------


@secrets.post("", status_code=201)
def register(
    *,
    merchant_id: Id,
    body: BankIn,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> RegisteredOut:
    """Report a bank. A repeat is refused; a secret that was lost is replaced, not shown again."""
    made = stock.register(session, who=who, merchant_id=merchant_id, now=now, **body.model_dump())
    return RegisteredOut.of(made, parts, now)


@secrets.post("/{bank_id}/secret")
def rotate_secret(
    *,
    merchant_id: Id,
    bank_id: BankId,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> RegisteredOut:
    """Replace a bank's secret; the old one ends at once."""
    made = stock.rotate_secret(session, who=who, merchant_id=merchant_id, bank_id=bank_id, now=now)
    return RegisteredOut.of(made, parts, now)


class FaultOut(Out):
    """What is wrong with a row."""

    column: str = Field(description="Empty: the row as a whole.", examples=["bank_id"])
    code: str = Field(examples=["csv_bad_bank_id"])
    text: str = Field(examples=["It has 4 to 32 capitals, digits and hyphens."])

    @classmethod
    def of(cls, fault: Fault, lang: Lang) -> "FaultOut":
        """Say what is wrong in words."""
        text = words.words(fault.why.code, lang, fault.why.detail)
        return cls(column=fault.column, code=fault.why.code, text=f"{text.title}: {text.detail}")


class ImportedOut(Out):
    """A row of the file, and what became of it."""

    line: int = Field(description="As a text editor counts; the header is 1.", examples=[2])
    bank_id: str = Field(examples=["LW-000123"])
    outcome: Outcome = Field(description="`known`: I had reported it before, it is as it was.")
    secret: str | None = Field(description="Shown this once, if it was registered.")
    qr_url: str | None
    faults: list[FaultOut]

    @classmethod
    def of(cls, row: Imported, parts: AppParts, lang: Lang) -> "ImportedOut":
        """Show what became of a row."""
        made = row.made
        return cls(
            line=row.line,
            bank_id=row.bank_id,
            outcome=row.outcome,
            secret=None if made is None else made.secret,
            qr_url=None if made is None else _label_url(parts, made.bank),
            faults=[FaultOut.of(fault, lang) for fault in row.faults],
        )


class ImportOut(Out):
    """What became of a file."""

    registered: int = Field(examples=[118])
    known: int = Field(examples=[0])
    refused: int = Field(examples=[2])
    items: list[ImportedOut]

    def as_csv(self) -> str:
        """The same for a spreadsheet."""
        header = ("line", "bank_id", "outcome", "secret", "qr_url", "problem")
        rows = [
            (
                str(item.line),
                item.bank_id,
                item.outcome,
                item.secret or "",
                item.qr_url or "",
                "; ".join(f"{fault.column} {fault.text}".strip() for fault in item.faults),
            )
            for item in self.items
        ]
        return bank_list.write(header, rows)


async def _body(request: Request) -> bytes:
    return await request.body()


_TAKES_CSV: Final = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {
                "schema": {"type": "string"},
                "example": "bank_id,model,batch\nLW-000123,LW-10K-A,2026-W40\n",
            }
        },
    }
}


@secrets.post(
    "/import",
    response_model=ImportOut,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    openapi_extra=_TAKES_CSV,
)
def take_in(
    *,
    merchant_id: Id,
    body: Annotated[bytes, Depends(_body)],
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Response | ImportOut:
    """Report many banks from a CSV file: each row by itself, one that is wrong stops no other.

    A bank that I reported before is left as it was, so the same file again registers nothing
    twice; a secret that was lost is replaced, not shown again. With `Accept: text/csv` the
    answer is a table.
    """
    rows = imports.take_in(session, who=who, merchant_id=merchant_id, body=body, now=now)
    told = _told(rows, parts, lang)
    if CSV not in accept:
        return told
    headers = {"content-disposition": 'attachment; filename="banks.csv"'}
    return Response(told.as_csv(), media_type=f"{CSV}; charset=utf-8", headers=headers)


def _told(rows: Sequence[Imported], parts: AppParts, lang: Lang) -> ImportOut:
    outcomes = [row.outcome for row in rows]
    return ImportOut(
        registered=outcomes.count(Outcome.REGISTERED),
        known=outcomes.count(Outcome.KNOWN),
        refused=outcomes.count(Outcome.REFUSED),
        items=[ImportedOut.of(row, parts, lang) for row in rows],
    )


# -- looking -----------------------------------------------------------------------------


@router.get("")
def banks(
    *,
    merchant_id: Id,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    after: Annotated[
        str, Query(pattern=r"^[0-9A-Z-]{0,32}$", description="`next` of the page before.")
    ] = "",
    limit: Limit = 100,
) -> StockOut:
    """List my banks, what speaks against renting each, and the totals."""
    page = stock.stock(session, who=who, merchant_id=merchant_id, after=after, limit=limit, now=now)
    items = [StockBankOut.seen(looked, parts, now=now, lang=lang) for looked in page.banks]
    return StockOut(
        totals=TotalsOut(all=page.all, rentable=page.rentable, rented=page.rented),
        items=items,
        next=items[-1].id if len(items) == limit else None,
    )


@router.get("/{bank_id}")
def bank(
    *,
    merchant_id: Id,
    bank_id: BankId,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    hours: Annotated[int, Query(ge=1, le=168, description="How far back its levels go.")] = 24,
) -> BankDetailOut:
    """Show one of my banks: its state, its charge over time, and where it has been."""
    seen = stock.detail(
        session,
        who=who,
        merchant_id=merchant_id,
        bank_id=bank_id,
        history=timedelta(hours=hours),
        now=now,
    )
    return BankDetailOut(
        **_bank(seen.looked, parts, now=now, lang=lang),
        rental_id=seen.rental_id,
        levels=[SampleOut.model_validate(sample) for sample in seen.samples],
        custody=[CustodyOut.of(move) for move in seen.moves],
    )


# -- in and out of the shop --------------------------------------------------------------


@router.post("/{bank_id}/receive")
def receive(
    *,
    merchant_id: Id,
    bank_id: BankId,
    body: ReceiveIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> BankOut:
    """Take a bank back from staff, in my own word; if it is sound, it is for rent again."""
    row = stock.receive(
        session,
        who=who,
        merchant_id=merchant_id,
        bank_id=bank_id,
        reason=body.reason,
        now=now,
    )
    return BankOut.of(row, None, now=now)


@router.post("/{bank_id}/offer")
def offer(
    *, merchant_id: Id, bank_id: BankId, session: DbSession, who: CurrentPrincipal, now: Now
) -> BankOut:
    """Put a bank that is at home up for rent."""
    row = stock.offer(session, who=who, merchant_id=merchant_id, bank_id=bank_id)
    return BankOut.of(row, None, now=now)


@router.post("/{bank_id}/withdraw")
def withdraw(
    *, merchant_id: Id, bank_id: BankId, session: DbSession, who: CurrentPrincipal, now: Now
) -> BankOut:
    """Hold a bank that is at home back; a rental that waits for it is given another."""
    row = stock.withdraw(session, who=who, merchant_id=merchant_id, bank_id=bank_id, now=now)
    return BankOut.of(row, None, now=now)


@router.post("/{bank_id}/inspected")
def inspected(
    *, merchant_id: Id, bank_id: BankId, session: DbSession, who: CurrentPrincipal, now: Now
) -> BankOut:
    """Say that I looked a bank over and that it is sound: it is for rent again."""
    row = stock.inspected(session, who=who, merchant_id=merchant_id, bank_id=bank_id)
    return BankOut.of(row, None, now=now)
