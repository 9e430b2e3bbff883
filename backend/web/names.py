"""What states and kinds are called on the pages, in both languages.

Each name has a sentence beside it where a person would ask "and now?". A new state of the domain
without words here stops the program at its start.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from backend.db.tables.rentals import JobKind
from backend.domain.cancellation import CancelStage
from backend.domain.credit import CreditKind
from backend.domain.dispute import DisputeState
from backend.domain.lang import Lang
from backend.domain.rental import RentalEvent, RentalState, Stage
from backend.domain.tariff import LineKind
from backend.services.whereabouts import Errand

_E = TypeVar("_E", bound=StrEnum)
Texts = Mapping[Lang, str]


def all_named(kind: type[_E], said: dict[_E, tuple[str, str]]) -> Mapping[_E, Texts]:
    """Name each of a kind; Chinese first.

    Raises:
        AssertionError: one has no words.
    """
    missing = set(kind) - set(said)
    if missing:
        msg = f"no words for {sorted(missing)}"
        raise AssertionError(msg)
    return MappingProxyType(
        {each: MappingProxyType({Lang.ZH: zh, Lang.EN: en}) for each, (zh, en) in said.items()}
    )


def named(said: dict[str, tuple[str, str]]) -> Mapping[str, Texts]:
    """Name words of which there may be more; Chinese first."""
    return MappingProxyType(
        {word: MappingProxyType({Lang.ZH: zh, Lang.EN: en}) for word, (zh, en) in said.items()}
    )


STAGES: Final = all_named(
    Stage,
    {
        Stage.DELIVERING: ("配送中", "Delivery"),
        Stage.RENTING: ("租借中", "Renting"),
        Stage.COMPLETED: ("租借完成", "Completed"),
        Stage.CLOSED: ("已關閉", "Closed"),
    },
)
RENTALS: Final = all_named(
    RentalState,
    {
        RentalState.REQUESTED: ("正在找人派送", "Looking for somebody to bring it"),
        RentalState.ACCEPTED: ("已接單，準備出發", "Accepted, about to set out"),
        RentalState.DELIVERING: ("正在送來", "On its way to you"),
        RentalState.DELIVERED: ("已送到，掃碼充電", "It is here: scan to charge"),
        RentalState.DEPOSIT_DUE: ("等待支付押金", "The deposit is next"),
        RentalState.STARTING: ("正在啟動充電寶", "Starting your power bank"),
        RentalState.RENTING: ("正在充電", "Charging"),
        RentalState.RETURNING: ("正在來取", "Somebody comes to fetch it"),
        RentalState.PAYMENT_DUE: ("等待支付", "To be paid"),
        RentalState.COMPLETED: ("已完成，謝謝", "Done, thank you"),
        RentalState.CANCELLED: ("已取消", "Called off"),
        RentalState.UNDELIVERABLE: ("沒能送到", "It could not be brought"),
        RentalState.START_FAILED: ("充電寶沒有啟動", "The power bank did not start"),
    },
)
AND_NOW: Final = all_named(
    RentalState,
    {
        RentalState.REQUESTED: (
            "附近的服務人員已收到您的請求。您現在取消不收費。",
            "Staff nearby have heard of it. Calling it off costs nothing now.",
        ),
        RentalState.ACCEPTED: (
            "服務人員拿到充電寶後就會出發，您會在這裡看到他的位置。",
            "They set out as soon as they have the power bank; you will see them on a map here.",
        ),
        RentalState.DELIVERING: (
            "見面時請告訴對方交接碼，或讓對方掃充電寶上的二維碼。",
            "At the door, tell them the handover code, or let them scan the power bank.",
        ),
        RentalState.DELIVERED: (
            "請掃描充電寶上的二維碼，確認押金後開始充電。",
            "Scan the QR on the power bank, agree to the deposit, and it starts.",
        ),
        RentalState.DEPOSIT_DUE: (
            "押金只凍結，不扣款。付款後充電寶立即啟動。",
            "The deposit is only held, not taken. The power bank starts once it is.",
        ),
        RentalState.STARTING: (
            "押金已凍結。正在等待充電寶確認供電。",
            "The deposit is held. Waiting for the power bank to say that it is on.",
        ),
        RentalState.RENTING: (
            "用完後請在這裡申請歸還，申請時即停止計費。",
            "When you are done, ask for it to be fetched: billing stops when you ask.",
        ),
        RentalState.RETURNING: (
            "已停止計費。請把充電寶交給服務人員。",
            "Billing has stopped. Hand it to whoever comes.",
        ),
        RentalState.PAYMENT_DUE: (
            "付款後押金立即解凍。",
            "Your deposit is free again as soon as you have paid.",
        ),
        RentalState.COMPLETED: (
            "押金已解凍。收據如下。",
            "Your deposit is free. The receipt is below.",
        ),
        RentalState.CANCELLED: ("沒有其他費用。", "There is nothing more to pay."),
        RentalState.UNDELIVERABLE: (
            "很抱歉，附近沒有人能送到。您沒有付任何費用。",
            "We are sorry: nobody near could bring it. You pay nothing.",
        ),
        RentalState.START_FAILED: (
            "押金已解凍，您沒有付任何費用。有人會來取回充電寶。",
            "Your deposit is free, and you pay nothing. Somebody fetches the power bank.",
        ),
    },
)
STEPS: Final = all_named(
    RentalEvent,
    {
        RentalEvent.ACCEPT: ("已接單", "Accepted"),
        RentalEvent.REASSIGN: ("換人派送", "Given to somebody else"),
        RentalEvent.GIVE_UP: ("無法送達", "Given up"),
        RentalEvent.CANCEL: ("已取消", "Called off"),
        RentalEvent.CANCEL_FOR_FEE: ("已取消（收費）", "Called off, for a fee"),
        RentalEvent.SET_OUT: ("已出發", "Set out"),
        RentalEvent.HAND_OVER: ("已交接", "Handed over"),
        RentalEvent.SCAN: ("已掃碼", "Scanned"),
        RentalEvent.DEPOSIT_HELD: ("押金已凍結", "Deposit held"),
        RentalEvent.OUTPUT_CONFIRMED: ("充電寶已供電", "The power bank is on"),
        RentalEvent.START_REFUSED: ("充電寶未啟動", "The power bank did not start"),
        RentalEvent.REQUEST_RETURN: ("申請歸還", "Return asked for"),
        RentalEvent.CLAIM_RETURNED: ("稱已歸還", "Said to be back already"),
        RentalEvent.DENY_RETURN: ("商戶稱沒有收到", "The merchant says that it is not there"),
        RentalEvent.SWAP: ("換一個充電寶", "Swapped for another"),
        RentalEvent.BUY_OUT: ("買下", "Bought"),
        RentalEvent.LOSE: ("遺失", "Lost"),
        RentalEvent.COLLECT: ("已取回", "Collected"),
        RentalEvent.PAID: ("已付款", "Paid"),
    },
)
LINES: Final = all_named(
    LineKind,
    {
        LineKind.BLOCKS: ("使用時間", "Time used"),
        LineKind.CAP_24H: ("24 小時封頂", "24-hour cap"),
        LineKind.DELIVERY: ("配送費", "Delivery"),
        LineKind.DELIVERY_LATE: ("遲到免配送費", "Delivery free: it was late"),
        LineKind.CAP_TOTAL: ("總封頂", "Total cap"),
        LineKind.CANCELLATION: ("取消費", "Cancellation"),
        LineKind.BUY_OUT: ("買下充電寶", "The power bank itself"),
    },
)
CREDITS: Final = all_named(
    CreditKind,
    {
        CreditKind.LATE_OUTPUT_OFF: ("更早停止供電", "It had stopped earlier"),
        CreditKind.FOUND_AGAIN: ("充電寶找回", "The power bank turned up"),
        CreditKind.DISPUTE: ("爭議成立", "The renter was right"),
        CreditKind.GOODWILL: ("平台補償", "Goodwill"),
        CreditKind.CORRECTION: ("帳單有誤", "The bill was wrong"),
    },
)
DISPUTES: Final = all_named(
    DisputeState,
    {
        DisputeState.OPEN: ("爭議處理中", "Your dispute is looked into"),
        DisputeState.UPHELD: ("已退回", "You were right"),
        DisputeState.PARTLY_UPHELD: ("已退回一部分", "You were right in part"),
        DisputeState.REJECTED: ("維持原帳單", "The bill stands"),
        DisputeState.WITHDRAWN: ("已撤回", "Taken back"),
    },
)
CANCEL_STAGES: Final = all_named(
    CancelStage,
    {
        CancelStage.WAITING: ("還沒有人接單", "Nobody has accepted yet"),
        CancelStage.ACCEPTED: ("已有人接單", "Somebody has accepted"),
        CancelStage.DELIVERING: ("已在路上", "Somebody is on the way"),
        CancelStage.EXCUSED: ("讓您久等了，取消免費", "You were kept waiting: it is free"),
    },
)
JOBS: Final = all_named(
    JobKind, {JobKind.DELIVERY: ("配送", "Delivery"), JobKind.COLLECTION: ("取回", "Collection")}
)
ERRANDS: Final = all_named(
    Errand,
    {
        Errand.PICK_UP: ("取充電寶", "Pick up the power bank"),
        Errand.DELIVER: ("送給租用人", "Bring it to the renter"),
        Errand.COLLECT: ("向租用人取回", "Fetch it from the renter"),
        Errand.CHECK_IN: ("送回商戶", "Bring it home"),
    },
)
