"""Every sentence on the payer's page, in Chinese and in English."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Lang(StrEnum):
    """The languages of the page; the value is its HTML tag."""

    ZH = "zh-Hant"
    EN = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The page's words. In braces: what is filled in. A line break stays one."""

    brand: str
    sandbox: str
    other_language: str
    """The name of the other language, in that language."""
    payment: str
    hold: str
    to: str
    purpose: str
    kind: str
    kind_payment: str
    kind_hold: str
    number: str
    about_payment: str
    about_hold: str
    pay: str
    agree: str
    decline: str
    back: str
    authorized: str
    authorized_more: str
    paid: str
    paid_more: str
    paid_rest: str
    refunded: str
    failed: str
    canceled: str
    expired: str
    nothing_taken: str
    hold_ended: str
    payout_pending: str
    payout_paid: str
    payout_failed: str
    payout_from: str
    no_payout: str
    not_found: str
    not_found_more: str
    stale_form: str
    stale_form_more: str
    days: str
    hours: str
    minutes: str


WORDS: Final = {
    Lang.ZH: Words(
        brand="沙盒支付",
        sandbox="沙盒環境，不會動用真實資金",
        other_language="English",
        payment="付款",
        hold="押金",
        to="收款方",
        purpose="用途",
        kind="方式",
        kind_payment="立即付款",
        kind_hold="僅凍結，不扣款",
        number="付款編號",
        about_payment="確認後立即扣款。",
        about_hold="現在只凍結押金，不扣款。\n最長凍結 {span}，到期自動解凍。",
        pay="支付 {amount}",
        agree="同意凍結 {amount}",
        decline="拒絕",
        back="返回 {payee}",
        authorized="押金已凍結",
        authorized_more="尚未扣款。\n結算後只收取應付部分，其餘自動解凍。",
        paid="支付成功",
        paid_more="已扣款 {amount}。",
        paid_rest="其餘 {amount} 已解凍。",
        refunded="已退款 {amount}。",
        failed="已拒絕",
        canceled="已取消",
        expired="已過期",
        nothing_taken="沒有扣款。",
        hold_ended="押金已解凍，沒有扣款。",
        payout_pending="轉帳處理中",
        payout_paid="已入帳",
        payout_failed="轉帳失敗，款項已退回",
        payout_from="付款方",
        no_payout="找不到這筆轉帳",
        not_found="找不到這筆付款",
        not_found_more="請檢查連結，或返回原來的頁面重新開始。",
        stale_form="請再試一次",
        stale_form_more="這個頁面已失效，請重新開啟付款連結。",
        days="{n} 天",
        hours="{n} 小時",
        minutes="{n} 分鐘",
    ),
    Lang.EN: Words(
        brand="Sandbox Pay",
        sandbox="Sandbox: no real money moves",
        other_language="中文",
        payment="Payment",
        hold="Deposit",
        to="To",
        purpose="For",
        kind="How",
        kind_payment="Paid at once",
        kind_hold="Held, not taken",
        number="Number",
        about_payment="The amount is taken as soon as you pay.",
        about_hold="The deposit is only held, not taken.\n"
        "After {span} at most it is free again by itself.",
        pay="Pay {amount}",
        agree="Hold {amount}",
        decline="Decline",
        back="Back to {payee}",
        authorized="Deposit held",
        authorized_more="Nothing was taken.\nOnly what you owe will be; the rest is released.",
        paid="Paid",
        paid_more="{amount} was taken.",
        paid_rest="The other {amount} is free again.",
        refunded="{amount} was refunded.",
        failed="Declined",
        canceled="Canceled",
        expired="Expired",
        nothing_taken="Nothing was taken.",
        hold_ended="The deposit is free again. Nothing was taken.",
        payout_pending="On its way",
        payout_paid="Arrived",
        payout_failed="Came back",
        payout_from="From",
        no_payout="No such payout",
        not_found="No such payment",
        not_found_more="Check the link, or go back to where you came from and start again.",
        stale_form="Please try again",
        stale_form_more="This page is out of date. Open the payment link again.",
        days="{n} days",
        hours="{n} hours",
        minutes="{n} minutes",
    ),
}

_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_MINUTE_S: Final = 60


def chosen_lang(asked: str, accept_language: str) -> Lang:
    """The reader's language: what they asked for, else what their browser prefers, else en."""
    for tag in filter(None, (asked, *_preferred(accept_language))):
        for lang in Lang:
            if tag.lower().split("-")[0] == lang.split("-")[0]:
                return lang
    return Lang.EN


def span(seconds: int, words: Words) -> str:
    """A time span in its largest whole unit, rounded down: ``7 days``."""
    if seconds >= 2 * _DAY_S:
        return words.days.format(n=seconds // _DAY_S)
    if seconds >= 2 * _HOUR_S:
        return words.hours.format(n=seconds // _HOUR_S)
    return words.minutes.format(n=seconds // _MINUTE_S)


def _preferred(accept_language: str) -> list[str]:
    """The tags of an ``Accept-Language`` header, the dearest first."""
    weighed = []
    for item in accept_language.split(",")[:20]:
        tag, _, quality = item.strip().partition(";q=")
        weighed.append((tag, quality or "1"))
    return [tag for tag, _ in sorted(weighed, key=lambda pair: pair[1], reverse=True)]
