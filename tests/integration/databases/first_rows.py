"""What a database of the first version may hold: rows of every table, and every kind of end.

Written by SQL, as the first version had it: nothing here changes with the code.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, MetaData

NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
MS: Final = 1_795_348_800_000


def _rental(number: int, state: str, bank: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"R{number}",
        "renter_id": "renter",
        "merchant_id": "M1",
        "bank_id": bank,
        "tariff_id": "T1",
        "terms": '{"version": 1}',
        "commission_bp": 1_250,
        "state": state,
        "requested_at": NOON,
        "lat": 31.2304,
        "lng": 121.4737,
        "address": "人民大道 200 號",
        "code": "0042",
        "code_tries": 0,
    } | more


def _billed(amount_minor: int) -> dict[str, Any]:
    return {
        "staff_id": "courier",
        "accepted_at": NOON,
        "handed_over_at": NOON,
        "billing_start_at": NOON,
        "collected_at": NOON + HOUR,
        "returned_at": NOON + HOUR,
        "amount_minor": amount_minor,
        "lines": "[]",
    }


def _step(number: int, rental: int, event: str, state: str, evidence: str = "") -> dict[str, Any]:
    return {
        "id": f"S{number}",
        "rental_id": f"R{rental}",
        "event": event,
        "state": state,
        "at": NOON + timedelta(minutes=number),
        "by_id": "courier",
        "proof": "scan" if event == "hand_over" else None,
        "evidence": evidence,
    }


def _job(number: int, kind: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"J{number}",
        "rental_id": f"R{number}",
        "merchant_id": "M1",
        "bank_id": f"LW-000{number}",
        "kind": kind,
        "state": state,
        "lat": 31.2304,
        "lng": 121.4737,
        "address": "人民大道 200 號",
        "created_at": NOON,
        "has_bank": False,
    } | more


def _payment(name: str, rental: int, purpose: str, state: str, amount: int) -> dict[str, Any]:
    return {
        "id": name,
        "rental_id": f"R{rental}",
        "renter_id": "renter",
        "purpose": purpose,
        "state": state,
        "amount_minor": amount,
        "currency": "CNY",
        "provider": "sandbox",
        "provider_ref": f"ref-{name}",
        "pay_url": "http://provider.test/",
        "is_surplus": name == "P4",
        "created_at": NOON,
        "checked_at": NOON,
    }


def _asked(number: int, ask: str, payment: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"O{number}",
        "key": f"{ask}:{payment}",
        "ask": ask,
        "payment_id": payment,
        "amount_minor": amount,
        "created_at": NOON,
        "due_at": NOON,
        "attempts": 1,
    } | more


def _transfer(number: int, kind: str, rental: int, **postings: int) -> list[tuple[str, Any]]:
    """A transfer and its postings; in accounts, ``__`` stands for the colon."""
    rows: list[tuple[str, Any]] = [
        (
            "transfer",
            {
                "id": f"X{number}",
                "key": f"{kind}:{number}",
                "kind": kind,
                "currency": "CNY",
                "rental_id": f"R{rental}",
                "at": NOON + timedelta(minutes=number),
            },
        )
    ]
    for line, (account, amount) in enumerate(sorted(postings.items())):
        posting = {
            "transfer_id": f"X{number}",
            "line": line,
            "account": account.replace("__", ":"),
            "currency": "CNY",
            "amount_minor": amount,
        }
        rows.append(("posting", posting))
    return rows


ACCOUNTS: Final = {
    "provider_holds": 9_900,
    "deposit:renter": -9_900,
    "provider_cash": 1_405,
    "receivable:renter": 700,
    "refund_due:renter": -600,
    "merchant_pending:M1": -1_317,
    "platform_revenue": -188,
}
"""Where the money stands after all that is below."""

ROWS: Final[list[tuple[str, dict[str, Any]]]] = [
    *(
        ("person", {
            "id": who, "phone": f"+861380000000{number}", "language": "zh",
            "is_operator": who == "operator", "notified_seq": int(who == "renter"),
            "created_at": NOON,
        })
        for number, who in enumerate(("operator", "owner", "courier", "renter"))
    ),
    ("signin_code", {
        "id": "C1", "phone": "+8613800000003", "code_hash": "h", "tries": 1, "created_at": NOON,
        "expires_at": NOON + HOUR,
    }),
    ("signin_quota", {"subject": "phone:+8613800000003", "hour": NOON, "sent": 2}),
    ("sign_in", {
        "id": "D1", "person_id": "renter", "refresh_hash": "h", "created_at": NOON,
        "refreshed_at": NOON, "expires_at": NOON + HOUR,
    }),
    ("notification", {
        "person_id": "renter", "seq": 1, "kind": "rental.renting", "data": "{}", "created_at": NOON,
    }),
    ("idempotency_record", {
        "person_id": "renter", "key": "k", "fingerprint": "f", "status": 201,
        "media_type": "application/json", "body": b"{}", "created_at": NOON,
    }),
    ("audit", {
        "id": "A1", "by_id": "operator", "at": NOON, "action": "merchant.approve",
        "subject": "merchant", "subject_id": "M1", "before": "{}", "after": "{}", "why": "",
    }),
    ("merchant", {
        "id": "M1", "owner_id": "owner", "name": "滨江一号", "status": "approved",
        "timezone": "Asia/Shanghai", "currency": "CNY", "lat": 31.2304, "lng": 121.4737,
        "address": "外滩 1 号", "service_radius_m": 3_000, "is_open": True,
        "commission_bp": 1_250, "created_at": NOON,
    }),
    ("staff", {
        "id": "E1", "merchant_id": "M1", "person_id": "courier", "name": "小王", "joined_at": NOON,
    }),
    ("tariff", {
        "id": "T1", "merchant_id": "M1", "version": 1, "terms": '{"version": 1}',
        "created_at": NOON, "created_by": "owner",
    }),
    *(
        ("bank", {
            "id": f"LW-000{number}", "merchant_id": "M1", "model": "LW-10K",
            "qr_token": f"token-{number}", "holder": "renter" if number == 3 else "merchant",
            "holder_id": "renter" if number == 3 else None, "held_since": NOON,
            "is_offered": number != 3, "is_recalled": False, "created_at": NOON,
        })
        for number in range(1, 7)
    ),
    ("rental", _rental(1, "completed", "LW-0001", **_billed(805), closed_at=NOON + 2 * HOUR)),
    ("rental", _rental(2, "payment_due", "LW-0002", **_billed(700))),
    ("rental", _rental(3, "renting", "LW-0003", staff_id="courier", billing_start_at=NOON)),
    ("rental", _rental(4, "declined", "LW-0004", closed_at=NOON)),
    ("rental", _rental(5, "requested", "LW-0005")),
    ("rental", _rental(6, "completed", "LW-0006", **_billed(0), closed_at=NOON + HOUR)),
    ("custody_move", {
        "id": "H1", "bank_id": "LW-0003", "rental_id": "R3", "giver": "staff",
        "giver_id": "courier", "taker": "renter", "taker_id": "renter", "proof": "code",
        "reason": "", "by_id": "courier", "at": NOON,
    }),
    ("job", _job(1, "collection", "done", staff_id="courier", done_at=NOON + HOUR)),
    ("job", _job(4, "delivery", "cancelled")),
    ("job", _job(5, "delivery", "open")),
    ("rental_step", _step(1, 1, "accept", "accepted", "J1")),
    ("rental_step", _step(2, 1, "hand_over", "delivered", "J1")),
    ("rental_step", _step(3, 1, "cancel", "cancelled", "the renter: changed my mind")),
    ("rental_step", _step(4, 4, "decline", "declined", "J4")),
    ("rental_step", _step(5, 1, "paid", "completed", "P2")),
    ("payment", _payment("P1", 1, "deposit", "canceled", 9_900)),
    ("payment", _payment("P2", 1, "bill", "paid", 805)),
    ("payment", _payment("P3", 3, "deposit", "authorized", 9_900)),
    ("payment", _payment("P4", 1, "bill", "paid", 600)),
    ("deposit", {
        "payment_id": "P1", "rental_id": "R1", "state": "released", "amount_minor": 9_900,
        "captured_minor": 0, "currency": "CNY", "held_at": NOON, "ended_at": NOON + HOUR,
    }),
    ("deposit", {
        "payment_id": "P3", "rental_id": "R3", "state": "held", "amount_minor": 9_900,
        "captured_minor": 0, "currency": "CNY", "held_at": NOON, "capture_before": NOON + HOUR,
    }),
    ("outbox", _asked(1, "create", "P3", 9_900, done_at=NOON)),
    ("outbox", _asked(2, "refund", "P4", 600)),
    ("inbox", {
        "provider": "sandbox", "id": "N1", "kind": "payment.paid", "reference": "P2",
        "provider_ref": "ref-P2", "amount_minor": 805, "currency": "CNY", "sent_at": NOON,
        "received_at": NOON, "raw": None, "problem": None,
    }),
    *(("account", {"code": code, "currency": "CNY"}) for code in ACCOUNTS),
    *_transfer(1, "deposit_held", 1, provider_holds=9_900, deposit__renter=-9_900),
    *_transfer(
        2, "rental_billed", 1, receivable__renter=805, merchant_pending__M1=-704,
        platform_revenue=-101,
    ),
    *_transfer(3, "rental_paid", 1, provider_cash=805, receivable__renter=-805),
    *_transfer(4, "deposit_released", 1, provider_holds=-9_900, deposit__renter=9_900),
    *_transfer(5, "payment_surplus", 1, provider_cash=600, refund_due__renter=-600),
    *_transfer(6, "deposit_held", 3, provider_holds=9_900, deposit__renter=-9_900),
    *_transfer(
        7, "rental_billed", 2, receivable__renter=700, merchant_pending__M1=-613,
        platform_revenue=-87,
    ),
    ("bank_credential", {
        "bank_id": "LW-0003", "secret_hash": "h", "issued_at_ms": MS, "changed_at_ms": MS,
    }),
    ("bank_config", {
        "bank_id": "LW-0003", "version": 2, "report_s": 60, "low_battery": 20,
        "min_output_battery": 5,
    }),
    ("bank_shadow", {
        "bank_id": "LW-0003", "conn_boot": 7, "conn": 1, "boot": 7, "seq": 9, "up_ms": 60_000,
        "heard_at_ms": MS, "state_at_ms": MS, "presence": "online", "battery": 83,
        "lock": "locked", "output": "on", "plugged": True, "sessions": 1, "on_s": 60,
        "energy_mwh": 100, "faults": "", "sampled_at_ms": MS, "sampled_battery": 83,
    }),
    ("bank_sample", {"bank_id": "LW-0003", "at_ms": MS, "battery": 83, "energy_mwh": 100}),
    ("command", {
        "id": "K1", "bank_id": "LW-0003", "kind": "charge_start", "args": "{}", "status": "done",
        "created_at_ms": MS, "expires_at_ms": MS, "attempts": 1,
    }),
    ("domain_event", {
        "id": "LW-0003:7:9:output_on", "bank_id": "LW-0003", "kind": "output_on", "key": "",
        "boot": 7, "occurred_at_ms": MS, "received_at_ms": MS, "late": False, "data": "{}",
    }),
    ("dead_letter", {
        "id": "L1", "topic": "lw/v1/x/state", "payload": b"\x00", "reason": "json", "detail": "",
        "received_at_ms": MS,
    }),
]  # fmt: skip


def write(engine: Engine) -> None:
    """Put it all into a database of the first version."""
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for name, row in ROWS:
            connection.execute(tables.tables[name].insert().values(row))
