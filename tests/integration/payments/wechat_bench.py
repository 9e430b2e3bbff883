"""The contract's bench for WeChat Pay: a fake that checks and makes real signatures."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from backend.clock import SystemClock
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment
from backend.payments.wechat import WechatProvider
from backend.payments.wechat_wire import read_ref
from tests.fakes.wechat import WechatPay, new_key, wechat_running
from tests.integration.payments.contract import Bench, Heard

_TOLD_BY = {
    PaymentStatus.AUTHORIZED: {"PAYSCORE.USER_CONFIRM"},
    PaymentStatus.PAID: {"TRANSACTION.SUCCESS", "PAYSCORE.USER_PAID"},
}


class Remembering(WechatProvider):
    """The client, with what the outbox does for it: a refund's key is stored before it is used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.keys: dict[str, set[str]] = defaultdict(set)
        super().__init__(*args, refund_keys=self._keys_of, **kwargs)

    def _keys_of(self, reference: str) -> set[str]:
        return self.keys[reference]

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        self.keys[ref.partition(":")[2]].add(key)
        return super().refund(ref, key=key, amount_minor=amount_minor)


class WechatBench(Bench):
    """Time is real."""

    def __init__(
        self, provider: WechatProvider, wechat: WechatPay, make_unreachable: Callable[[], None]
    ) -> None:
        self.provider = provider
        self.wechat = wechat
        self._make_unreachable = make_unreachable

    def now(self) -> datetime:
        return SystemClock().now()

    def payer_agrees(self, payment: ProviderPayment) -> None:
        self.wechat.payer_agrees(read_ref(payment.ref)[1])

    def goes_away(self) -> None:
        self._make_unreachable()

    def heard(self, reference: str, status: PaymentStatus | PayoutStatus) -> Heard:
        assert isinstance(status, PaymentStatus)
        for sent in self.wechat.sent:
            named = sent.resource.get("out_trade_no") or sent.resource.get("out_order_no")
            if named == reference and sent.kind in _TOLD_BY[status]:
                return Heard(headers=sent.headers, body=sent.body)
        message = f"no notice says that {reference} is {status}"
        raise AssertionError(message)

    def signed(self, body: bytes) -> Heard:
        return Heard(headers=self.wechat.signed(body), body=body)

    def loses_next_answer(self) -> None:
        self.wechat.loses_next_answer = True


@pytest.fixture(scope="session")
def wechat_keys() -> tuple[Any, Any]:
    """The merchant's key and WeChat Pay's: making one takes a while."""
    return new_key(), new_key()


@pytest.fixture
def wechat_bench(wechat_keys: tuple[Any, Any]) -> Iterator[WechatBench]:
    merchant_key, platform_key = wechat_keys
    wechat = WechatPay(merchant_key, platform_key)
    with wechat_running(wechat) as (url, make_unreachable):
        provider = Remembering(wechat.account(), base_url=url)
        with closing(provider):
            yield WechatBench(provider, wechat, make_unreachable)
