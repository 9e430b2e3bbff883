"""What a line of the books says to a person, in each language."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang
from backend.domain.ledger import TransferKind


def _both(zh: str, en: str) -> Mapping[Lang, str]:
    return MappingProxyType({Lang.ZH: zh, Lang.EN: en})


LINES: Final[Mapping[TransferKind, Mapping[Lang, str]]] = MappingProxyType(
    {
        TransferKind.DEPOSIT_HELD: _both("押金已凍結", "Deposit held"),
        TransferKind.DEPOSIT_RELEASED: _both("押金已解凍", "Deposit released"),
        TransferKind.DEPOSIT_CAPTURED: _both("以押金抵扣帳單", "Bill paid from the deposit"),
        TransferKind.DEPOSIT_SECURED: _both("押金已轉為存款", "Deposit taken into keeping"),
        TransferKind.DEPOSIT_APPLIED: _both("以存款抵扣帳單", "Bill paid from what was kept"),
        TransferKind.DEPOSIT_RETURNED: _both("剩餘押金待退", "Rest of the deposit to go back"),
        TransferKind.RENTAL_BILLED: _both("訂單已出帳，您的份額", "Rental billed: your part"),
        TransferKind.RENTAL_PAID: _both("訂單已支付", "Rental paid"),
        TransferKind.PAYMENT_SURPLUS: _both("多付款項，待退", "Paid too much: to go back"),
        TransferKind.BILL_CREDITED: _both(
            "已付帳單更正，退還租客", "Paid bill put right: given back"
        ),
        TransferKind.BILL_REDUCED: _both("未付帳單更正", "Unpaid bill put right"),
        TransferKind.DEBT_REPAID: _both("償還平台墊款", "Repaid what the platform laid out"),
        TransferKind.PAYMENT_REFUNDED: _both("退款已完成", "Refund paid"),
        TransferKind.UNCLAIMED_RECEIVED: _both("收到無主款項", "Money that fits nothing came in"),
        TransferKind.UNCLAIMED_REFUNDED: _both("無主款項已退回", "It went back"),
        TransferKind.RENTAL_SETTLED: _both(
            "訂單已結算，可提現", "Rental settled: yours to withdraw"
        ),
        TransferKind.WITHDRAWAL_ASKED: _both("提現處理中", "Withdrawal on its way"),
        TransferKind.WITHDRAWAL_PAID: _both("提現已到帳", "Withdrawal paid"),
        TransferKind.WITHDRAWAL_FAILED: _both("提現失敗，已退回", "Withdrawal failed: yours again"),
        TransferKind.WITHDRAWAL_RETURNED: _both(
            "提現被退回，重新可提", "Withdrawal came back: yours again"
        ),
        TransferKind.REFUND_RETURNED: _both("退款被退回，待退", "Refund came back: to go again"),
        TransferKind.PROVIDER_TOPPED_UP: _both("平台補足支付渠道餘額", "Paid in by the platform"),
    }
)
"""By why money moved."""
