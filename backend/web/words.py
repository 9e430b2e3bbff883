"""Every sentence on the pages that the API does not say too, in Chinese and in English."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang
from backend.domain.precheck import MIN_BATTERY_PCT, WhyNot

TAGS: Final[Mapping[Lang, str]] = MappingProxyType({Lang.ZH: "zh-Hant", Lang.EN: "en"})
"""What ``<html lang>`` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The pages' words. In braces: what is filled in."""

    tagline: str
    demo: str
    other_language: str
    """The name of the other language, in that language."""
    home: str

    # The first page.
    lead: str
    code_title: str
    code_label: str
    code_hint: str
    code_button: str
    not_a_code: str
    steps_title: str
    steps: tuple[tuple[str, str], ...]
    system_title: str
    ready: str
    not_ready: str
    api: str
    api_more: str
    health: str
    health_alive: str
    health_ready: str
    health_figures: str
    provider: str
    provider_more: str
    mqtt: str

    # A bank's page.
    bank: str
    by: str
    """Before the merchant's name."""
    rentable: str
    not_rentable: str
    charge: str
    lock: str
    locks: Mapping[str, str]
    silent: str
    address: str
    brought: str
    within_km: str
    within_m: str
    costs: str
    hour: str
    day: str
    deposit: str
    costs_more: str
    rent: str
    again: str
    another: str
    advice: Mapping[WhyNot, str]
    """What to do about each reason against."""

    # Others.
    thanks: str
    thanks_app: str
    thanks_payment: str
    thanks_close: str
    no_bank: str
    no_bank_more: str


_ZH: Final = Words(
    tagline="充電寶，送到您身邊",
    demo="演示環境：充電寶為模擬，不會動用真實資金",
    other_language="English",
    home="Lendwatt 首頁",
    lead="在 Lendwatt，任何人都可以出租自己的充電寶。掃一掃充電寶上的二維碼，服務人員送到您所在的"
    "地方，用完再到您所在的地方取回。出租的商戶由此獲得收入。",
    code_title="手邊有充電寶？",
    code_label="二維碼下方的代碼",
    code_hint="也可以貼上二維碼打開的鏈接。",
    code_button="查看",
    not_a_code="這不是二維碼下方的代碼。代碼由 16 至 64 個字母、數字、「-」和「_」組成；"
    "充電寶的編號不能代替它。",
    steps_title="怎樣租用",
    steps=(
        ("掃碼", "無需登入，就能看到是誰的充電寶、電量多少、費用多少。"),
        ("下單", "告訴商戶您在哪裡，服務人員送到您手上。"),
        ("充電", "押金只凍結，不扣款。充電寶確認已供電之後才開始計費。"),
        ("原地歸還", "申請歸還即停止計費，服務人員上門取回。付款後押金解凍。"),
    ),
    system_title="給開發者與運維人員",
    ready="運行中，一切就緒",
    not_ready="運行中，尚未就緒",
    api="API 說明",
    api_more="OpenAPI 3.1",
    health="健康狀況",
    health_alive="存活",
    health_ready="就緒",
    health_figures="指標",
    provider="沙盒支付",
    provider_more="不會動用真實資金",
    mqtt="充電寶接入（MQTT）",
    bank="充電寶 {bank}",
    by="出租方",
    rentable="現在可以租用",
    not_rentable="現在不能租用",
    charge="電量",
    lock="鎖",
    locks=MappingProxyType({"locked": "已鎖定", "unlocked": "已解鎖", "jammed": "卡住了"}),
    silent="這個充電寶還沒有報告過狀態。",
    address="商戶地址",
    brought="配送範圍",
    within_km="{n} 公里以內",
    within_m="{n} 米以內",
    costs="費用",
    hour="1 小時",
    day="24 小時",
    deposit="押金",
    costs_more="已含配送費。押金只凍結，付款後解凍。",
    rent="租用這個充電寶",
    again="重新查看",
    another="查看另一個充電寶",
    advice=MappingProxyType(
        {
            WhyNot.NOT_REGISTERED: "請核對代碼，或換一個充電寶。",
            WhyNot.RECALLED: "請不要使用，並告知商戶。",
            WhyNot.NOT_APPROVED: "平台審核通過後才能出租。請換一個商戶的充電寶。",
            WhyNot.NO_TARIFF: "沒有價格就不出租。請稍後再看，或換一個充電寶。",
            WhyNot.NOT_WITH_MERCHANT: "請等它回到商戶處再看，或換一個充電寶。",
            WhyNot.NOT_OFFERED: "何時出租由商戶決定。請稍後再看，或換一個充電寶。",
            WhyNot.RESERVED: "如果租用人就是您，請登入後繼續。"
            "否則請等它歸還後再看，或換一個充電寶。",
            WhyNot.CLOSED: "請在商戶營業時再看，或換一個充電寶。",
            WhyNot.OUT_OF_AREA: "請走近一些，或選擇更近的商戶。",
            WhyNot.FAULTY: "請不要使用，換一個充電寶；商戶需要先檢修它。",
            WhyNot.OFFLINE: "平台最近沒有收到它的消息。請過幾分鐘再看，或換一個充電寶。",
            WhyNot.LOW: f"電量達到 {MIN_BATTERY_PCT}% 才能出租。請等它充電後再看，或換一個充電寶。",
            WhyNot.UNPAID_BILL: "請先付清未付的訂單。",
            WhyNot.TOO_MANY_RENTALS: "請先歸還手上的充電寶。",
            WhyNot.SUSPENDED: "請聯繫平台了解原因。",
        }
    ),
    thanks="謝謝您",
    thanks_app="您的訂單在您的應用程式中繼續，也可以在這裡登入後查看。",
    thanks_payment="任何人都能打開這個頁面，所以這裡不顯示訂單內容。付款結果請在應用程式中查看。",
    thanks_close="現在可以關閉本頁面。",
    no_bank="沒有這個代碼的充電寶",
    no_bank_more="請重新掃描充電寶上的二維碼，或核對二維碼下方的代碼。如果標籤已損壞，請告知商戶。",
)

_EN: Final = Words(
    tagline="Power banks that come to you",
    demo="Demo: simulated power banks, no real money",
    other_language="中文",
    home="Lendwatt, first page",
    lead="On Lendwatt, anyone can lend out their own power banks. You scan the code on one; it is "
    "brought to where you are, and fetched again from where you are. Its merchant is paid for it.",
    code_title="A power bank in front of you?",
    code_label="The code under its QR",
    code_hint="Or paste the link that the QR opens.",
    code_button="Look",
    not_a_code="This is not the code under a QR. That has 16 to 64 letters, digits, “-” and “_”; "
    "the power bank's number will not do.",
    steps_title="How a rental goes",
    steps=(
        ("Scan", "See whose it is, how full, and what it costs, before you sign in."),
        ("Ask", "Say where you are. Staff set out, and hand it to you."),
        (
            "Charge",
            "A deposit is held, not taken. Nothing is billed before the bank says it is on.",
        ),
        (
            "Return, right there",
            "Billing stops when you ask. Staff fetch it; pay, and the deposit is free.",
        ),
    ),
    system_title="For those who build and run it",
    ready="Running, and ready",
    not_ready="Running, but not ready",
    api="API description",
    api_more="OpenAPI 3.1",
    health="Health",
    health_alive="alive",
    health_ready="ready",
    health_figures="figures",
    provider="Sandbox payments",
    provider_more="no real money moves",
    mqtt="Banks connect to (MQTT)",
    bank="Power bank {bank}",
    by="Lent by",
    rentable="Can be rented now",
    not_rentable="Cannot be rented now",
    charge="Charge",
    lock="Lock",
    locks=MappingProxyType({"locked": "Locked", "unlocked": "Unlocked", "jammed": "Jammed"}),
    silent="This power bank has not reported yet.",
    address="Its merchant is at",
    brought="Brought to you",
    within_km="within {n} km",
    within_m="within {n} m",
    costs="What it costs",
    hour="1 hour",
    day="24 hours",
    deposit="Deposit",
    costs_more="Delivery included. The deposit is only held, and freed when you have paid.",
    rent="Rent this bank",
    again="Look again",
    another="Look at another power bank",
    advice=MappingProxyType(
        {
            WhyNot.NOT_REGISTERED: "Check the code, or take another one.",
            WhyNot.RECALLED: "Do not use it, and tell its merchant.",
            WhyNot.NOT_APPROVED: "The platform has to approve a merchant before it may lend. Take "
            "another merchant's.",
            WhyNot.NO_TARIFF: "Without a price it is not for rent. Look again later, or take "
            "another one.",
            WhyNot.NOT_WITH_MERCHANT: "Look again once it is back, or take another one.",
            WhyNot.NOT_OFFERED: "Its merchant says when it may go out. Look again later, or take "
            "another one.",
            WhyNot.RESERVED: "If it was you who rented it, sign in to go on. "
            "If not, look again once it is back, or take another one.",
            WhyNot.CLOSED: "Look again when the merchant is open, or take another one.",
            WhyNot.OUT_OF_AREA: "Come nearer, or choose a merchant who is.",
            WhyNot.FAULTY: "Do not use it; take another one. Its merchant has to see to it first.",
            WhyNot.OFFLINE: "The platform has not heard from it lately. Look again in a few "
            "minutes, or take another one.",
            WhyNot.LOW: f"It may go out from {MIN_BATTERY_PCT}% on. Look again when it has been "
            "charged, or take another one.",
            WhyNot.UNPAID_BILL: "Pay what is open first.",
            WhyNot.TOO_MANY_RENTALS: "Give one of those back that you have.",
            WhyNot.SUSPENDED: "Ask the platform why.",
        }
    ),
    thanks="Thank you",
    thanks_app="Your rental goes on in your app, or here once you have signed in.",
    thanks_payment="Anybody can open this page, so it tells nothing about the rental. Your app "
    "shows how the payment went.",
    thanks_close="You can close this page now.",
    no_bank="No power bank has this code",
    no_bank_more="Scan the QR on the power bank again, or check the code under it. If the label "
    "is damaged, tell its merchant.",
)

WORDS: Final[Mapping[Lang, Words]] = MappingProxyType({Lang.ZH: _ZH, Lang.EN: _EN})
