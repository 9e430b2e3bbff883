"""What a merchant's business is called on their pages: states, hands, faults, in both languages.

What a renter reads of the same rental is in ``names``: a merchant asks another question of it,
"what is to be done?", so the words are others.
"""

from typing import Final

from backend.api.settlement import Statement
from backend.db.tables.market import MerchantStatus
from backend.domain.custody import Holder, Proof
from backend.domain.deposit import DepositState
from backend.domain.dispute import DisputeState
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.domain.rental import MerchantList, RentalState
from backend.domain.scoring import PartKind
from backend.domain.tariff import BillingStart, Rounding
from backend.domain.withdrawal import WithdrawalState
from backend.web.names import all_named, named

LISTS: Final = all_named(
    MerchantList,
    {
        MerchantList.TO_FULFIL: ("待履約", "To bring"),
        MerchantList.IN_PROGRESS: ("進行中", "In progress"),
        MerchantList.TO_COLLECT: ("待取充電寶", "To fetch"),
        MerchantList.COMPLETED: ("已完成", "Completed"),
        MerchantList.CLOSED: ("未成交", "Came to nothing"),
    },
)
RENTALS: Final = all_named(
    RentalState,
    {
        RentalState.REQUESTED: ("等人接單", "Nobody has taken it yet"),
        RentalState.ACCEPTED: ("已接單", "Taken"),
        RentalState.DELIVERING: ("配送中", "On the way"),
        RentalState.DELIVERED: ("已交接", "Handed over"),
        RentalState.DEPOSIT_DUE: ("等待押金", "Waits for the deposit"),
        RentalState.STARTING: ("正在啟動", "Starting"),
        RentalState.RENTING: ("租借中", "Rented"),
        RentalState.RETURNING: ("等待取回", "To be fetched"),
        RentalState.PAYMENT_DUE: ("等待支付", "To be paid"),
        RentalState.COMPLETED: ("已完成", "Completed"),
        RentalState.CANCELLED: ("已取消", "Called off"),
        RentalState.UNDELIVERABLE: ("未能送達", "Not delivered"),
        RentalState.START_FAILED: ("未啟動，待取回", "Did not start: to be fetched"),
    },
)
STATUSES: Final = all_named(
    MerchantStatus,
    {
        MerchantStatus.PENDING: ("等待平台審核", "Waits for approval"),
        MerchantStatus.APPROVED: ("已開通", "Approved"),
        MerchantStatus.SUSPENDED: ("已暫停", "Suspended"),
    },
)
HOLDERS: Final = all_named(
    Holder,
    {
        Holder.MERCHANT: ("在店", "At home"),
        Holder.STAFF: ("在服務人員手上", "With staff"),
        Holder.RENTER: ("在租用人手上", "With a renter"),
        Holder.LOST: ("遺失", "Lost"),
        Holder.SOLD: ("已售出", "Sold"),
    },
)
PROOFS: Final = all_named(
    Proof,
    {
        Proof.SCAN: ("掃碼", "by a scan"),
        Proof.CODE: ("交接碼", "by the code"),
        Proof.REASON: ("口頭說明", "by word"),
    },
)
ADVICE: Final = all_named(
    WhyNot,
    {
        WhyNot.NOT_REGISTERED: ("請重新登記。", "Report it again."),
        WhyNot.RECALLED: (
            "平台召回了這一批。請收起來，等平台的通知。",
            "The platform recalled it. Keep it back until you hear more.",
        ),
        WhyNot.NOT_APPROVED: ("等平台審核您的商戶。", "Your own approval comes first."),
        WhyNot.NO_TARIFF: ("請先設定價格。", "Set a price first."),
        WhyNot.NOT_WITH_MERCHANT: ("回到店裡後才能出租。", "It has to come home first."),
        WhyNot.NOT_OFFERED: (
            "您暫停了它的出租。隨時可以恢復。",
            "You hold it back. Put it up for rent when you like.",
        ),
        WhyNot.RESERVED: ("有一個訂單要用它。", "An order is waiting for it."),
        WhyNot.CLOSED: (
            "現在不在營業時間，或您暫停了營業。請看「設定」。",
            "You are closed now. See your hours under Settings.",
        ),
        WhyNot.OUT_OF_AREA: ("超出您的配送範圍。", "That is farther than you deliver."),
        WhyNot.FAULTY: (
            "請檢查它；故障消失後可以出租。",
            "Look it over; it is for rent once the fault is gone.",
        ),
        WhyNot.OFFLINE: (
            "請給它充電、讓它連上網。新登記的要先填入密鑰。",
            "Charge it and bring it where it has a connection. A new one needs its secret.",
        ),
        WhyNot.LOW: ("請充電。", "Charge it."),
        WhyNot.UNPAID_BILL: ("租用人有未付的帳單。", "The renter has a bill to pay."),
        WhyNot.TOO_MANY_RENTALS: ("租用人已有太多訂單。", "The renter has too many already."),
        WhyNot.SUSPENDED: ("租用人的帳號已暫停。", "The renter's account is suspended."),
    },
)
DEPOSITS: Final = all_named(
    DepositState,
    {
        DepositState.PENDING: ("等待凍結", "asked for"),
        DepositState.HELD: ("已凍結", "held"),
        DepositState.SECURED: ("已轉為存款", "taken into keeping"),
        DepositState.CAPTURED: ("已扣款", "taken"),
        DepositState.RELEASED: ("已解凍", "free again"),
        DepositState.EXPIRED: ("已過期", "run out"),
        DepositState.DECLINED: ("被拒絕", "declined"),
        DepositState.UNKNOWN: ("查詢中", "being looked into"),
    },
)
DISPUTES: Final = all_named(
    DisputeState,
    {
        DisputeState.OPEN: ("處理中", "Open"),
        DisputeState.UPHELD: ("已全部退回", "All given back"),
        DisputeState.PARTLY_UPHELD: ("已部分退回", "A part given back"),
        DisputeState.REJECTED: ("維持原帳單", "The bill stands"),
        DisputeState.WITHDRAWN: ("租用人已撤回", "Taken back by the renter"),
    },
)
WITHDRAWALS: Final = all_named(
    WithdrawalState,
    {
        WithdrawalState.REQUESTED: ("已申請", "Asked for"),
        WithdrawalState.PROCESSING: ("在途", "On its way"),
        WithdrawalState.UNKNOWN: ("正在核實", "Being looked into"),
        WithdrawalState.PAID: ("已到帳", "Arrived"),
        WithdrawalState.FAILED: ("失敗，已退回", "Failed: yours again"),
    },
)
STATEMENTS: Final = all_named(
    Statement,
    {
        Statement.WITHDRAWABLE: ("可提現", "Yours to withdraw"),
        Statement.PENDING: ("待結算", "Pending"),
        Statement.IN_PAYOUT: ("提現在途", "On its way to you"),
        Statement.DEBT: ("平台墊款", "Laid out for you"),
    },
)
PARTS: Final = all_named(
    PartKind,
    {
        PartKind.ON_TIME: ("配送及時率", "On time"),
        PartKind.CHARGE: ("平均電量", "Charge of the power banks"),
    },
)
STARTS: Final = all_named(
    BillingStart,
    {
        BillingStart.ARRIVAL: ("送到時", "when it is handed over"),
        BillingStart.PLUGGED: ("插上手機時", "when a phone is plugged in"),
        BillingStart.UNLOCKED: ("掃碼解鎖時", "when it is unlocked"),
    },
)
ROUNDINGS: Final = all_named(
    Rounding,
    {
        Rounding.CEIL: ("不足一段按一段計", "A begun block is charged"),
        Rounding.FLOOR_AFTER_FIRST: (
            "第一段之後，不足一段不收費",
            "After the first, whole blocks only",
        ),
    },
)


_OURS: Final = named(
    {
        "kept by its renter": ("租用人買下", "kept by its renter"),
        "its price reached the total cap": ("費用達到總封頂", "its price reached the total cap"),
        "the bank came back": ("充電寶找回來了", "the bank came back"),
        "the bank had stopped earlier than was known": (
            "充電寶更早就停止供電",
            "the bank had stopped earlier than was known",
        ),
    }
)
"""Reasons that the platform notes by itself."""


def reason(noted: str, lang: Lang) -> str:
    """Give a reason as it was noted; the platform's own, in the reader's language."""
    return _OURS[noted][lang] if noted in _OURS else noted


# What banks say of themselves: another firmware may say more, which is then shown as it is.
FAULTS: Final = named(
    {
        "over_temperature": ("過熱", "Too hot"),
        "over_current": ("電流過大", "Too much current"),
        "cell_imbalance": ("電芯不平衡", "Its cells are out of balance"),
        "tamper": ("曾被拆動", "Somebody tampered with it"),
        "lock_jammed": ("鎖卡住", "Its lock is jammed"),
        "low_voltage": ("電壓過低", "Its voltage is too low"),
    }
)
PRESENCES: Final = named(
    {
        "online": ("在線", "Connected"),
        "degraded": ("訊號不穩", "Not heard of for a while"),
        "offline": ("離線", "Not connected"),
    }
)
LOCKS: Final = named(
    {
        "locked": ("已上鎖", "Locked"),
        "unlocked": ("已解鎖", "Unlocked"),
        "jammed": ("鎖卡住", "Jammed"),
    }
)
ENDINGS: Final = named(
    {
        "gone": ("對方回覆此地址已不存在", "the address says that it is gone"),
        "failing": ("長期失敗", "it failed for too long"),
        "too_many_waiting": ("積壓過多", "too much waited for it"),
    }
)
