"""The sentences that a tariff is told in, in each language; ``tariff.disclosure`` fills them.

Keys are the values of ``BillingStart`` and ``Rounding``, and names of parts of a tariff.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang

STARTS: Final[Mapping[Lang, Mapping[str, str]]] = MappingProxyType(
    {
        Lang.EN: {
            "arrival": "the power bank is delivered to you",
            "plugged": "your device is plugged in and charges",
            "unlocked": "you scan the power bank to unlock it",
        },
        Lang.ZH: {
            "arrival": "充電寶送達",
            "plugged": "插上設備並開始充電",
            "unlocked": "您掃碼解鎖充電寶",
        },
    }
)

SENTENCES: Final[Mapping[Lang, Mapping[str, str]]] = MappingProxyType(
    {
        Lang.EN: {
            "start": "Billing starts when {start}, but not before the power bank confirms that"
            " it is on.",
            "free": "The first {free} of it are free.",
            "block": "Time is charged in blocks of {block}, at {price} each.",
            "ceil": "A block that has begun is charged in full.",
            "floor_after_first": "The first block is charged once it has begun, a later"
            " one only once it is over.",
            "cap_24h": "Each 24 hours from the start of billing cost {cap_24h} at most.",
            "delivery": "Delivery costs {delivery}; nothing if it is late.",
            "no_delivery": "Delivery is free.",
            "cancel_free": "You may cancel without charge until the power bank is handed over.",
            "cancel_late": "Cancelling is free until staff are on their way with the power bank;"
            " from then until it is handed over it costs {cancel_delivering}, also if nobody is"
            " there to take it.",
            "cancel": "Cancelling is free until staff accept; then it costs {cancel_accepted},"
            " and {cancel_delivering} once they are on their way with the power bank, also if"
            " nobody is there to take it.",
            "battery": "The power bank is handed over with a charge of {battery} % or more.",
            "cap_total": "The whole rental, delivery included, costs {cap_total} at most; at that"
            " price the power bank is yours.",
            "end": "Billing ends when you ask for the return, when staff collect the power bank,"
            " or when it turns off for good, whichever comes first.",
            "deposit": "A deposit of {deposit} is held, and freed when you have paid.",
            "examples": "Examples, delivery included: 1 hour {hour}, 24 hours {day}.",
        },
        Lang.ZH: {
            "start": "自{start}時起計費，且不早於充電寶確認已供電之時。",
            "free": "其中前{free}免費。",
            "block": "每{block}為一個計費單位，每單位{price}。",
            "ceil": "不足一個計費單位的，按一個計費單位計。",
            "floor_after_first": "首個計費單位開始即計費，之後不足一個計費單位的不計費。",
            "cap_24h": "自計費開始起，每24小時最多{cap_24h}。",
            "delivery": "配送費{delivery}，配送超時則免收。",
            "no_delivery": "免配送費。",
            "cancel_free": "充電寶交付前可免費取消。",
            "cancel_late": "服務人員攜充電寶出發前可免費取消；"
            "出發後至交付前取消，或送達時無人接收，收取{cancel_delivering}。",
            "cancel": "接單前可免費取消；接單後取消收取{cancel_accepted}，"
            "服務人員攜充電寶出發後取消，或送達時無人接收，收取{cancel_delivering}。",
            "battery": "交付時充電寶電量不低於{battery}%。",
            "cap_total": "整個訂單（含配送費）最多{cap_total}，達到此金額充電寶即歸您所有。",
            "end": "計費至您申請歸還、服務人員取回或充電寶最終停止供電時止，以最早者為準。",
            "deposit": "押金{deposit}僅作凍結，支付訂單後即解凍。",
            "examples": "示例（含配送費）：1小時{hour}，24小時{day}。",
        },
    }
)

UNITS: Final[Mapping[Lang, tuple[str, str, str]]] = MappingProxyType(
    {Lang.EN: (" h", " min", " s"), Lang.ZH: ("小時", "分鐘", "秒")}
)

MARKETS: Final[Mapping[Lang, Mapping[str, tuple[str, str]]]] = MappingProxyType(
    {
        Lang.EN: {
            "plain": ("Plain", "Half hours, with no rules but those of every price."),
            "beijing": (
                "Beijing",
                (
                    "By the 2025 pact of the city's lenders: blocks of 15 minutes at most, five"
                    " minutes free, and no part of a later block is charged."
                ),
            ),
            "chengdu": (
                "Chengdu",
                (
                    "By the 2025 pact of the city's lenders: five free minutes at least, blocks of"
                    " 15 minutes at most, and half charged at the handover."
                ),
            ),
        },
        Lang.ZH: {
            "plain": ("通用", "按半小時計費，僅遵守一般規則。"),
            "beijing": (
                "北京",
                (
                    "按2025年北京共享充電寶行業自律公約：計費單位不超過15分鐘，滿5分鐘後收費，"
                    "之後不足一個計費單位的不收費。"
                ),
            ),
            "chengdu": (
                "成都",
                (
                    "按2025年成都市共享充電寶行業自律公約：免費時間不少於5分鐘，"
                    "計費單位不超過15分鐘，交付時電量不低於50%。"
                ),
            ),
        },
    }
)
"""What a market is called, and what is particular about it."""
