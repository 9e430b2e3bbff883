"""What an operator's work is called on their pages, in both languages: what is stuck, what to do.

A new kind, or a new thing that may be done about it, without words here stops the program at its
start. What others wrote (a provider's reason, a gateway's detail) is shown as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from backend.api.settlement import Statement
from backend.db.tables.credits import RefundWhy
from backend.db.tables.money import PaymentState, Purpose
from backend.db.tables.rentals import JobState
from backend.domain.custody import Holder
from backend.domain.dispatch import EndedWhy, OfferState, PartName
from backend.domain.dispute import DisputeState
from backend.domain.lang import Lang
from backend.domain.ledger import AccountKind, TransferKind
from backend.domain.reconcile import BreakKind
from backend.domain.rental import RentalState
from backend.domain.withdrawal import WithdrawalState
from backend.services.stuck import Act, Stuck, StuckKind
from backend.web import trade
from backend.web.names import Texts, all_named, named

# -- the stuck list --------------------------------------------------------------------------

STUCK: Final = all_named(
    StuckKind,
    {
        StuckKind.START_IN_DOUBT: ("不知是否已供電", "Did it start?"),
        StuckKind.ZOMBIE: ("訂單與充電寶不符", "The bank is elsewhere"),
        StuckKind.RETURN_CLAIMED: ("稱已歸還", "Said to be back"),
        StuckKind.MISSING: ("充電寶失聯", "Not heard of"),
        StuckKind.UNCOLLECTED: ("無人取回", "Nobody fetched it"),
        StuckKind.ASK_GIVEN_UP: ("支付渠道沒有照辦", "A provider did not do it"),
        StuckKind.PAYMENT_IN_DOUBT: ("付款結果不明", "A payment in doubt"),
        StuckKind.HOLD_ENDING: ("押金凍結即將到期", "A hold that runs out"),
        StuckKind.HOLD_EXPIRED: ("押金凍結已過期", "A hold that ran out"),
        StuckKind.UNPAID: ("帳單未付", "A bill nobody pays"),
        StuckKind.NOTICE: ("無法對應的付款通知", "Money that fits nothing"),
        StuckKind.WITHDRAWAL: ("提現卡住", "A withdrawal that hangs"),
        StuckKind.FACT: ("未能處理的事件", "An event not taken in"),
        StuckKind.BREAK: ("對帳不符", "Books that differ"),
        StuckKind.FEEDS_UNPAID: ("未付款仍在供電", "Feeds, and nobody pays"),
        StuckKind.STOP_IN_DOUBT: ("不知是否已停止供電", "Did it stop?"),
        StuckKind.DEAD_LETTER: ("死信", "A dead letter"),
    },
)
MEANT: Final = all_named(
    StuckKind,
    {
        StuckKind.START_IN_DOUBT: (
            "押金已凍結，充電寶收到指令後沒有回覆。請詢問租用人。",
            "The deposit is held, and the power bank never said whether it is on. Ask the renter.",
        ),
        StuckKind.ZOMBIE: (
            "訂單進行中，但充電寶不在應在的人手上。",
            "The rental is open, and its power bank is not in the hands that it should be in.",
        ),
        StuckKind.RETURN_CLAIMED: (
            "租用人稱已歸還，計費已停。請問商戶是否收到。",
            "The renter says so, and the meter stands. Ask the merchant whether it is there.",
        ),
        StuckKind.MISSING: (
            "在外的充電寶已一天沒有消息。請聯繫租用人。",
            "It is out, and silent for a day. Talk to the renter.",
        ),
        StuckKind.UNCOLLECTED: (
            "租用人已申請歸還，一天內無人來取。",
            "The renter gave it back a day ago, and nobody came.",
        ),
        StuckKind.ASK_GIVEN_UP: (
            "多次請求後放棄，或被明確拒絕。",
            "It was asked for until we gave up, or refused for good.",
        ),
        StuckKind.PAYMENT_IN_DOUBT: (
            "渠道沒有回覆這筆付款是否建立。請在渠道的後臺查看。",
            "The provider never answered whether it was made. Look into the provider's own books.",
        ),
        StuckKind.HOLD_ENDING: (
            "可能還有費用，而凍結很快失效。",
            "Something may yet be owed, and the hold is about to end.",
        ),
        StuckKind.HOLD_EXPIRED: (
            "押金已失效，訂單還沒有結束。",
            "The deposit is gone, and the rental is not over.",
        ),
        StuckKind.UNPAID: (
            "過了付款期限，押金也無法扣款。",
            "It is past its date, and no deposit is left to take it from.",
        ),
        StuckKind.NOTICE: (
            "渠道通知了一筆錢，與我們的任何付款都對不上。",
            "A provider told of money that fits no payment of ours.",
        ),
        StuckKind.WITHDRAWAL: (
            "渠道沒有說明這筆提現的結果。",
            "The provider does not say how it ended.",
        ),
        StuckKind.FACT: (
            "充電寶說的事多次未能處理。",
            "What a power bank told could not be applied, again and again.",
        ),
        StuckKind.BREAK: (
            "渠道與我們的說法不一致。請先查明，再關閉。",
            "The provider says one thing, and we say another. Find out why before you close it.",
        ),
        StuckKind.FEEDS_UNPAID: (
            "已多次命令停止，仍在供電。",
            "It was told to stop several times, and feeds on.",
        ),
        StuckKind.STOP_IN_DOUBT: (
            "命令停止後沒有消息。它再次連線時會自行說明。",
            "It has been silent since it was told to stop. Its next word will tell.",
        ),
        StuckKind.DEAD_LETTER: (
            "充電寶的訊息無法採信。",
            "A message of a power bank that was not believed.",
        ),
    },
)
ACTS: Final = all_named(
    Act,
    {
        Act.STARTED: ("它已供電", "It is on"),
        Act.NOT_STARTED: ("它沒有供電", "It is not on"),
        Act.CLOSE: ("已收回，結帳", "It is back: bill and close"),
        Act.LOSE: ("遺失，不收費", "It is gone: close for nothing"),
        Act.SELL: ("按買斷結帳", "Sell it at the cap"),
        Act.DENY: ("沒有歸還", "It is not back"),
        Act.RETRY: ("再試一次", "Try again"),
        Act.REPLAY: ("重新處理", "Take it in again"),
        Act.PUT_ASIDE: ("擱置", "Put it aside"),
        Act.SECURE: ("先扣下押金", "Take the deposit now"),
        Act.WRITE_OFF: ("核銷", "Write it off"),
        Act.REFUND: ("退回付款人", "Send it back"),
        Act.PAID: ("已到帳", "It arrived"),
        Act.FAILED: ("沒有成功", "It failed"),
    },
)
ASKED: Final = MappingProxyType(
    {
        act: MappingProxyType({Lang.ZH: zh, Lang.EN: en})
        for act, (zh, en) in {
            Act.STARTED: ("從現在起計費？", "Start the meter now?"),
            Act.NOT_STARTED: ("解凍押金，不收費？", "Let the deposit go, and bill nothing?"),
            Act.CLOSE: ("按使用時間結帳並關閉？", "Bill the time used, and close the rental?"),
            Act.LOSE: ("不收費並關閉？", "Close the rental for nothing?"),
            Act.SELL: (
                "按總封頂向租用人收費，充電寶歸其所有？",
                "Bill the renter the total cap, and let them keep it?",
            ),
            Act.DENY: ("恢復計費，如同從未停止？", "Let the meter run on as if it never stood?"),
            Act.SECURE: (
                "先扣下全部押金？用不完的會退回。",
                "Take the whole deposit? What is not owed goes back.",
            ),
            Act.WRITE_OFF: (
                "由平台承擔欠款並結算給商戶？",
                "Have the platform give what is owed, and settle with the merchant?",
            ),
            Act.REFUND: ("把錢退回給付款人？", "Send the money back to whoever paid it?"),
            Act.PAID: (
                "渠道的帳上確實已到帳？",
                "Do the provider's own books say that it arrived?",
            ),
            Act.FAILED: (
                "渠道的帳上確實沒有成功？",
                "Do the provider's own books say that it came to nothing?",
            ),
        }.items()
    }
)
"""What is asked first, of what can not be taken back. The others do no harm."""

# -- jobs --------------------------------------------------------------------------------------

JOBS: Final = all_named(
    JobState,
    {
        JobState.OPEN: ("等人接單", "Waits for somebody"),
        JobState.ACCEPTED: ("已接單", "Taken"),
        JobState.UNDER_WAY: ("在路上", "Under way"),
        JobState.DONE: ("完成", "Done"),
        JobState.CANCELLED: ("已撤銷", "Called off"),
    },
)
OFFERS: Final = all_named(
    OfferState,
    {
        OfferState.OPEN: ("等待回覆", "asked"),
        OfferState.ACCEPTED: ("接單", "took it"),
        OfferState.DECLINED: ("拒絕", "said no"),
        OfferState.LAPSED: ("沒有回覆", "did not answer"),
        OfferState.TAKEN: ("已被他人接走", "another was first"),
        OfferState.WITHDRAWN: ("已撤回", "taken back"),
    },
)
PARTS: Final = all_named(
    PartName,
    {
        PartName.ETA: ("路程", "Way"),
        PartName.ON_TIME: ("及時率", "On time"),
        PartName.CHARGE: ("電量", "Charge"),
        PartName.LOAD: ("空閒", "Free hands"),
    },
)
ENDS: Final = all_named(
    EndedWhy,
    {
        EndedWhy.NOBODY: ("無人接單", "nobody took it"),
        EndedWhy.NOT_SET_OUT: ("沒有出發", "they did not set out"),
        EndedWhy.LATE: ("太遲", "too late"),
        EndedWhy.STALLED: ("停在路上", "stalled on the way"),
        EndedWhy.GIVEN_BACK: ("服務人員退單", "given back by staff"),
        EndedWhy.OFF_SHIFT: ("下班", "went off shift"),
        EndedWhy.BANK_LOST: ("充電寶遺失", "the power bank is lost"),
        EndedWhy.BANK_RECALLED: ("充電寶被召回", "the power bank was recalled"),
        EndedWhy.GIVEN_UP: ("放棄", "given up"),
        EndedWhy.RENTER_ABSENT: ("租用人不在", "the renter was absent"),
    },
)

_OTHER_ENDS: Final = MappingProxyType(
    {
        "by_hand": {Lang.ZH: "平台處理", Lang.EN: "by an operator"},
        "denied": {Lang.ZH: "商戶否認已歸還", Lang.EN: "the merchant says that it is not back"},
        "bought": {Lang.ZH: "已買下", Lang.EN: "it was bought"},
        "cancelled": {Lang.ZH: "租用人取消", Lang.EN: "its renter called it off"},
    }
)


def ended(why: str, lang: Lang) -> str:
    """Say why a job was called off."""
    known = ENDS[EndedWhy(why)] if why in tuple(EndedWhy) else _OTHER_ENDS.get(why)
    return why if known is None else known[lang]


# -- money -------------------------------------------------------------------------------------

PURPOSES: Final = all_named(
    Purpose, {Purpose.DEPOSIT: ("押金", "Deposit"), Purpose.BILL: ("帳單", "Bill")}
)
PAYMENTS: Final = all_named(
    PaymentState,
    {
        PaymentState.CREATED: ("即將發起", "about to be made"),
        PaymentState.UNKNOWN: ("結果不明", "in doubt"),
        PaymentState.OPEN: ("等待付款", "waits for the payer"),
        PaymentState.AUTHORIZED: ("已凍結", "held"),
        PaymentState.PAID: ("已付", "paid"),
        PaymentState.CANCELED: ("已取消", "called off"),
        PaymentState.FAILED: ("失敗", "failed"),
        PaymentState.EXPIRED: ("已過期", "run out"),
    },
)
REFUNDS: Final = all_named(
    RefundWhy,
    {
        RefundWhy.SURPLUS: ("多付", "paid too much"),
        RefundWhy.CREDIT: ("帳單更正", "the bill was put right"),
        RefundWhy.DEPOSIT: ("剩餘押金", "rest of the deposit"),
        RefundWhy.UNCLAIMED: ("無法對應", "it fitted nothing"),
    },
)
ACCOUNTS: Final = all_named(
    AccountKind,
    {
        AccountKind.PROVIDER_HOLDS: ("押金凍結（非我們的）", "Held, not ours"),
        AccountKind.PROVIDER_CASH: ("渠道現金", "Cash at providers"),
        AccountKind.PROVIDER_TOPUPS: ("平台墊入渠道", "Paid in by the platform"),
        AccountKind.RECEIVABLE: ("租用人應付", "Owed by renters"),
        AccountKind.DEPOSIT: ("租用人的押金", "Renters' deposits"),
        AccountKind.REFUND_DUE: ("待退租用人", "To go back to renters"),
        AccountKind.MERCHANT_PENDING: ("商戶待結算", "Merchants, pending"),
        AccountKind.MERCHANT_AVAILABLE: ("商戶可提現", "Merchants, to withdraw"),
        AccountKind.PAYOUT_IN_FLIGHT: ("提現在途", "On its way to merchants"),
        AccountKind.MERCHANT_DEBT: ("為商戶墊款", "Laid out for merchants"),
        AccountKind.UNCLAIMED: ("無法對應的款項", "Fits nothing of ours"),
        AccountKind.PLATFORM_REVENUE: ("平台收入", "The platform's revenue"),
    },
)
TRANSFERS: Final = all_named(
    TransferKind,
    {
        TransferKind.DEPOSIT_HELD: ("押金凍結", "Deposit held"),
        TransferKind.DEPOSIT_RELEASED: ("押金解凍", "Deposit let go"),
        TransferKind.DEPOSIT_CAPTURED: ("押金抵扣帳單", "Bill taken from the deposit"),
        TransferKind.RENTAL_BILLED: ("出帳", "Billed"),
        TransferKind.RENTAL_PAID: ("支付", "Paid"),
        TransferKind.PAYMENT_SURPLUS: ("多付", "Paid too much"),
        TransferKind.BILL_CREDITED: ("已付帳單更正", "A paid bill put right"),
        TransferKind.PAYMENT_REFUNDED: ("退款", "Refunded"),
        TransferKind.DEPOSIT_SECURED: ("押金轉為存款", "Deposit taken into keeping"),
        TransferKind.DEPOSIT_APPLIED: ("存款抵扣帳單", "Bill taken from what was kept"),
        TransferKind.DEPOSIT_RETURNED: ("存款待退", "Rest of the deposit to go back"),
        TransferKind.BILL_REDUCED: ("未付帳單更正", "An unpaid bill put right"),
        TransferKind.DEBT_REPAID: ("商戶償還墊款", "A merchant repaid"),
        TransferKind.UNCLAIMED_RECEIVED: ("收到無法對應的款項", "Money that fits nothing"),
        TransferKind.UNCLAIMED_REFUNDED: ("退回無法對應的款項", "It was sent back"),
        TransferKind.RENTAL_SETTLED: ("結算給商戶", "Settled with the merchant"),
        TransferKind.WITHDRAWAL_ASKED: ("申請提現", "Withdrawal asked for"),
        TransferKind.WITHDRAWAL_PAID: ("提現到帳", "Withdrawal paid"),
        TransferKind.WITHDRAWAL_FAILED: ("提現失敗", "Withdrawal failed"),
        TransferKind.WITHDRAWAL_RETURNED: ("提現退回", "Withdrawal came back"),
        TransferKind.REFUND_RETURNED: ("退款被退回", "Refund came back"),
        TransferKind.PROVIDER_TOPPED_UP: ("平台墊入渠道", "Paid in by the platform"),
    },
)
BREAKS: Final = all_named(
    BreakKind,
    {
        BreakKind.UNKNOWN_TO_PROVIDER: ("渠道沒有這筆", "Unknown to the provider"),
        BreakKind.UNKNOWN_TO_US: ("我們沒有這筆", "Unknown to us"),
        BreakKind.AMOUNT_DIFFERS: ("金額不符", "Another amount"),
        BreakKind.STATE_DIFFERS: ("狀態不符", "Another state"),
        BreakKind.CAPTURED_DIFFERS: ("扣款不符", "Another sum taken"),
        BreakKind.REFUND_DIFFERS: ("退款不符", "Another sum given back"),
        BreakKind.BOOKS_DIFFER: ("帳本不符", "The books differ"),
        BreakKind.ACCOUNT_DIFFERS: ("轉到了別的帳號", "It went elsewhere"),
    },
)

STATEMENTS: Final = all_named(
    Statement,
    {
        Statement.PENDING: ("待結算", "Pending"),
        Statement.WITHDRAWABLE: ("可提現", "To withdraw"),
        Statement.IN_PAYOUT: ("提現在途", "On its way"),
        Statement.DEBT: ("平台墊款", "Laid out"),
    },
)

# -- what banks said and was not believed --------------------------------------------------------


REASONS: Final = named(
    {
        "bad_topic": ("主題不對", "Not a topic of ours"),
        "too_large": ("太長", "Too large"),
        "not_json": ("不是 JSON", "Not JSON"),
        "not_finite": ("有無效數字", "A number that is none"),
        "duplicate_key": ("欄位重複", "A field twice"),
        "bad_field": ("欄位不對", "A field that is wrong"),
        "retained": ("不應保留的訊息", "Must not be retained"),
        "implausible": ("不合情理", "Cannot be so"),
        "internal": ("我們未能存下", "Ours: not stored"),
    }
)
SUBJECTS: Final = named(
    {
        "person": ("用戶", "Person"),
        "merchant": ("商戶", "Merchant"),
        "bank": ("充電寶", "Power bank"),
        "rental": ("訂單", "Rental"),
        "dispute": ("爭議", "Dispute"),
        "payment": ("付款", "Payment"),
        "withdrawal": ("提現", "Withdrawal"),
        "notice": ("付款通知", "Notice"),
        "dead_letter": ("死信", "Dead letter"),
    }
)

_ACTIONS: Final = named(
    {
        "person.suspend": ("暫停用戶", "Suspended somebody"),
        "person.resume": ("恢復用戶", "Let somebody go on"),
        "person.correct": ("更正姓名", "Put a name right"),
        "person.erase": ("刪除用戶", "Forgot somebody"),
        "merchant.approve": ("批准商戶", "Approved a merchant"),
        "merchant.suspend": ("暫停商戶", "Suspended a merchant"),
        "merchant.resume": ("恢復商戶", "Let a merchant go on"),
        "merchant.correct": ("更正商戶資料", "Put a merchant right"),
        "merchant.payout_account": ("更改收款帳號", "Another payout account"),
        "bank.recall": ("召回", "Recalled a power bank"),
        "bank.end_recall": ("結束召回", "Ended a recall"),
        "rental.cancel": ("取消訂單", "Called a rental off"),
        "rental.close": ("結帳並關閉", "Billed and closed a rental"),
        "rental.mark_lost": ("遺失，不收費", "Closed a rental for nothing"),
        "rental.sell": ("按買斷結帳", "Sold a power bank"),
        "rental.credit": ("退回一部分", "Took a part of a bill back"),
        "rental.deny_return": ("否認歸還", "Denied a return"),
        "rental.start_confirmed": ("確認已供電", "Said that it is on"),
        "rental.start_denied": ("確認沒有供電", "Said that it is not on"),
        "deposit.secure": ("先扣下押金", "Took a deposit"),
        "dispute.decide": ("裁定爭議", "Decided a dispute"),
        "payment.give_up": ("放棄付款", "Gave a payment up"),
        "notice.resolve": ("處理付款通知", "Dealt with a notice"),
        "bill.write_off": ("核銷帳單", "Wrote a bill off"),
        "dead_letter.replay": ("重新處理死信", "Replayed a dead letter"),
        "dead_letter.put_aside": ("擱置死信", "Put a dead letter aside"),
    }
)
_FIELDS: Final = named(
    {
        "account": ("帳號", "Account"),
        "status": ("狀態", "Status"),
        "state": ("狀態", "State"),
        "name": ("名稱", "Name"),
        "commission_bp": ("平台抽成（萬分之）", "The platform's part, basis points"),
        "service_radius_m": ("配送範圍（米）", "Delivers within, metres"),
        "is_recalled": ("已召回", "Recalled"),
        "credited_minor": ("已退回（最小單位）", "Given back, minor units"),
        "granted_minor": ("准予（最小單位）", "Granted, minor units"),
        "given_minor": ("承擔（最小單位）", "Given, minor units"),
        "deposit": ("押金", "Deposit"),
        "outcome": ("結果", "Came of it"),
        "reason": ("原因", "Why"),
        "resolution": ("處理", "Dealt with"),
        "problem": ("問題", "Problem"),
        "asked": ("請求", "Asked for"),
    }
)
_VALUES: Final = named(
    {
        "active": ("正常", "active"),
        "known": ("已知", "known"),
        "erased": ("已刪除", "forgotten"),
        "stuck": ("卡住", "stuck"),
        "True": ("是", "yes"),
        "False": ("否", "no"),
        "pending": ("待審核", "pending"),
        "approved": ("已開通", "approved"),
        "suspended": ("已暫停", "suspended"),
    }
)
_WRITTEN: Final = frozenset({"name", "resolution", "problem"})
"""Fields that hold somebody's own words."""


def did(action: str, lang: Lang) -> str:
    """Say what an operator did; empty: there are no words for it."""
    known = _ACTIONS.get(action)
    return "" if known is None else known[lang]


def field(name: str, lang: Lang) -> str:
    """Name a field that was changed."""
    known = _FIELDS.get(name)
    return name if known is None else known[lang]


def value(subject: str, name: str, text: str, lang: Lang) -> str:
    """Say what a field of a subject was or is."""
    if not text:
        return "—"
    if name in _WRITTEN:
        return text
    known = _word(subject, text) or _VALUES.get(text)
    return text if known is None else known[lang]


def _word(subject: str, text: str) -> Texts | None:
    """Find the words for a state or a kind: a state of one thing may be one of another, too."""
    own = _STATES.get(subject, {})
    return own.get(text) or _WORDS.get(text)


# -- an item's details ---------------------------------------------------------------------------

_DETAILS: Final = named(
    {
        "bank_id": ("充電寶", "Power bank"),
        "merchant_id": ("商戶", "Merchant"),
        "state": ("狀態", "State"),
        "holder": ("在誰手上", "In whose hands"),
        "ask": ("請求", "Asked for"),
        "answer": ("結果", "Answer"),
        "problem": ("問題", "Problem"),
        "amount_minor": ("金額", "Amount"),
        "owed_minor": ("欠款", "Owed"),
        "paid_minor": ("已付", "Paid"),
        "provider": ("渠道", "Provider"),
        "purpose": ("用途", "For"),
        "unheard_of_at": ("渠道稱沒有", "Unknown to them since"),
        "capture_before": ("凍結到期", "Held until"),
        "kind": ("類別", "Kind"),
        "subject_id": ("編號", "Number"),
        "ours": ("我們", "We say"),
        "theirs": ("渠道", "They say"),
        "stops": ("已命令停止", "Told to stop"),
        "cause": ("原因", "Why"),
        "topic": ("主題", "Topic"),
        "reason": ("原因", "Why"),
        "outcome": ("上次結果", "Came of it"),
    }
)
_WORDS: Final[Mapping[str, Texts]] = MappingProxyType(
    {
        **{state.value: trade.WITHDRAWALS[state] for state in WithdrawalState},
        **{state.value: trade.DISPUTES[state] for state in DisputeState},
        **{state.value: PAYMENTS[state] for state in PaymentState},
        **{state.value: trade.RENTALS[state] for state in RentalState},
        **{holder.value: trade.HOLDERS[holder] for holder in Holder},
        **{kind.value: BREAKS[kind] for kind in BreakKind},
        **{purpose.value: PURPOSES[purpose] for purpose in Purpose},
        **REASONS,
    }
)
_STATES: Final[Mapping[str, Mapping[str, Texts]]] = MappingProxyType(
    {
        "withdrawal": {state.value: trade.WITHDRAWALS[state] for state in WithdrawalState},
        "payment": {state.value: PAYMENTS[state] for state in PaymentState},
        "dispute": {state.value: trade.DISPUTES[state] for state in DisputeState},
    }
)
_WORDS_OF: Final = MappingProxyType(
    {
        "answer": named({"unknown": ("沒有答覆", "none came"), "refused": ("被拒絕", "refused")}),
        "ask": named(
            {
                "create": ("建立付款", "make a payment"),
                "release": ("解凍", "let a hold go"),
                "capture": ("扣款", "take from a hold"),
                "refund": ("退款", "give back"),
            }
        ),
    }
)
_OWN: Final = frozenset({"problem", "ours", "theirs", "topic", "subject_id", "cause", "outcome"})
"""Details that others wrote: shown as they are, whatever word they happen to be."""
_NOT_SHOWN: Final = frozenset({"currency", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One thing that is known of a stuck item."""

    name: str
    text: str
    is_word: bool
    """Whether the text is ours; else it is somebody's own, and no language is known of it."""
    at: datetime | None = None
    amount_minor: int | None = None
    currency: str = ""
    href: str = ""


def details(item: Stuck, lang: Lang) -> list[Detail]:
    """Say what is known of an item."""
    currency = item.detail.get("currency", "")
    return [
        _detail(item.kind, key, text, currency, lang)
        for key, text in item.detail.items()
        if text and key not in _NOT_SHOWN
    ]


def _detail(kind: str, key: str, text: str, currency: str, lang: Lang) -> Detail:
    known = _DETAILS.get(key)
    name = key if known is None else known[lang]
    word = (
        None if key in _OWN else _WORDS_OF[key].get(text) if key in _WORDS_OF else _word(kind, text)
    )
    amount = int(text) if key.endswith("_minor") and currency else None
    return Detail(
        name=name,
        text=text if word is None else word[lang],
        is_word=word is not None,
        at=datetime.fromisoformat(text) if key in {"unheard_of_at", "capture_before"} else None,
        amount_minor=amount,
        currency=currency,
        href=_LEADS.get(key, "").format(text),
    )


_LEADS: Final = MappingProxyType(
    {"bank_id": "/operator/banks?bank={}", "merchant_id": "/operator/merchants/{}"}
)
