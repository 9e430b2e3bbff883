"""What the demo says, in each language."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang

_Both = tuple[str, str]
"""zh and en."""

STEPS: Final[Mapping[str, tuple[_Both, _Both]]] = MappingProxyType(
    {
        "look": (
            ("{renter}掃描充電寶 {bank} 的二維碼", "{renter} scans the label of {bank}"),
            (
                "{shop}：電量 {battery}%，每 {block} {price}，可租",
                "{shop}: {battery} % charged, {price} per {block}, for rent",
            ),
        ),
        "ask": (
            ("{renter}請人把它送來", "{renter} asks for it to be brought"),
            ("送到{place}，距商戶 {distance} 米", "to {place}, {distance} m from the shop"),
        ),
        "hear": (
            ("{owner}和{staff}的手機同時收到", "{owner} and {staff} hear of it at once"),
            ("{ms} 毫秒後，連同位置和設備信息", "after {ms} ms, with the place and the bank"),
        ),
        "accept": (
            ("服務人員{staff}接單", "{staff} takes the job"),
            ("{renter}收到通知", "first to say yes; {renter} is told"),
        ),
        "set_out": (
            ("{staff}掃碼取走 {bank}，出發", "{staff} scans {bank} and sets out"),
            ("充電寶現由{staff}保管", "the bank is in {staff}'s hands now"),
        ),
        "hand_over": (
            ("{staff}當面交給{renter}", "{staff} hands it to {renter}"),
            ("憑{renter}的交接碼 {code}", "proven by {renter}'s code {code}"),
        ),
        "notice": (
            ("{renter}掃碼充電", "{renter} scans to charge"),
            (
                "收到押金通知：{deposit}，只凍結，不扣款",
                "a deposit notice: {deposit}, to be held, not taken",
            ),
        ),
        "deposit": (
            ("{renter}付押金", "{renter} pays the deposit"),
            (
                "在支付方的頁面；簽名通知確認已凍結 {deposit}",
                "on the provider's page; {deposit} held, says its signed webhook",
            ),
        ),
        "command": (
            ("{bank} 收到 charge_start", "{bank} hears charge_start"),
            (
                "經 MQTT，付押金後才下達；鎖開，輸出通",
                "over MQTT, sent only now; its lock opens, its output is on",
            ),
        ),
        "confirm": (
            ("充電寶的狀態證實", "The bank's own state confirms it"),
            ("租借開始，自 {at} 起供電", "rented; feeding since {at}"),
        ),
        "plug": (
            ("{renter}插上手機", "{renter} plugs the phone in"),
            (
                "按此商戶的規則，現在開始計費：{at}",
                "by this merchant's tariff, billing starts now: {at}",
            ),
        ),
        "running": (
            ("費用實時可見", "The price runs, for all to see"),
            (
                "現為 {amount}：無免費時段，首個 {block}即收 {blocks}，另加配送 {delivery}",
                "{amount} so far: the first {block} count at once, {blocks}; {delivery} delivery",
            ),
        ),
        "give_back": (
            ("{renter}申請歸還", "{renter} asks to give it back"),
            ("在{place}；計費止於 {at}", "at {place}; the meter stopped at {at}"),
        ),
        "collect": (
            ("{staff}到場掃碼取回", "{staff} comes and scans it back"),
            ("{bank} 收到 charge_stop，已上鎖", "{bank} heard charge_stop, and is locked"),
        ),
        "bill": (
            ("生成待支付訂單，推送給{renter}", "The bill is raised; {renter} hears"),
            ("計費 {seconds} 秒，連配送共 {amount}", "{amount}, for {seconds} s and delivery"),
        ),
        "pay": (
            ("{renter}在支付頁面付款", "{renter} pays on the provider's page"),
            ("訂單完成", "the rental is completed"),
        ),
        "release": (
            ("押金解凍", "The deposit is released"),
            ("{deposit} 全數解凍，分文未扣", "all of {deposit} is free again"),
        ),
        "home": (
            ("{staff}把充電寶送回商戶", "{staff} brings the bank home"),
            ("{bank} 又可出租", "{bank} is for rent again"),
        ),
    }
)
"""Each step of the story: who does what, and what came of it."""

_SENTENCES: Final[Mapping[str, _Both]] = MappingProxyType(
    {
        "title": ("Lendwatt · 上海的一次租借", "Lendwatt · one rental in Shanghai"),
        "below": (
            "{broker} 代理 · 網關 · 後臺 · {banks} 個充電寶經 MQTT 連線",
            "{broker} broker · gateway · backend · {banks} banks on MQTT",
        ),
        "honest": (
            "電池快放 {speed} 倍；時間和計費都是真實的",
            "batteries run {speed} times faster; time and billing are real",
        ),
        "quit": ("Ctrl-C 結束", "Ctrl-C ends it"),
        "opening": ("正在啟動平台…", "Starting the platform…"),
        "founding": ("正在登記商戶和充電寶…", "Registering merchants and banks…"),
        "connecting": ("充電寶正在連線…", "The banks are connecting…"),
        "ready": (
            "{shops} 個商戶、{banks} 個充電寶已上線，用時 {seconds} 秒",
            "{shops} merchants and {banks} banks are on, after {seconds} s",
        ),
        "stopping": ("正在結束…", "Stopping…"),
        "kept": ("數據保存在 {place}。", "What was kept is in {place}."),
        "news": ("誰聽到了什麼", "Who hears what"),
        "story": ("一次租借", "One rental"),
        "receipt": ("收據", "Receipt"),
        "page": ("平台", "platform"),
        "label": ("二維碼", "QR label"),
        "provider": ("沙盒支付", "sandbox pay"),
        "sign_in": ("登入", "sign in"),
        "people": (
            "租用人 {renter}，商戶 {merchant}，平台 {operator}",
            "renter {renter}, merchant {merchant}, operator {operator}",
        ),
        "try": ("試試", "try"),
        "failed": ("第 {number} 步「{step}」失敗：{why}", "Step {number}, “{step}”, failed: {why}"),
        "not_ready": ("城市沒有建成：{why}", "The city could not be set up: {why}"),
        "no_answer": ("{who} 沒有回答（{why}）", "{who} gave no answer ({why})"),
        "late": ("{seconds} 秒內沒有發生", "it did not happen within {seconds} s"),
        "unheard": (
            "{who}在 {seconds} 秒內沒有聽到 {kind}",
            "{who} did not hear {kind} within {seconds} s",
        ),
        "no_form": ("支付頁面 {url} 無法使用", "the provider's page {url} cannot be used"),
        "no_simulator": ("模擬充電寶沒有啟動", "the simulated banks did not start"),
        "simulator_ended": (
            "模擬充電寶意外結束（退出碼 {code}）",
            "The simulated banks ended by themselves (exit code {code})",
        ),
        "none_for_rent": ("沒有可租的充電寶", "no bank is for rent"),
        "no_job": ("{staff}沒有這項任務", "{staff} has no such job"),
        # the table
        "bank": ("編號", "bank"),
        "merchant": ("商戶", "merchant"),
        "battery": ("電量", "charge"),
        "lock": ("鎖", "lock"),
        "output": ("輸出", "out"),
        "plugged": ("插接", "plug"),
        "presence": ("在線", "presence"),
        "where": ("去向", "where"),
        "locked": ("鎖定", "locked"),
        "unlocked": ("打開", "open"),
        "jammed": ("卡住", "jammed"),
        "on": ("通", "on"),
        "off": ("斷", "off"),
        "yes": ("已插", "yes"),
        "no": ("-", "-"),
        "online": ("在線", "online"),
        "degraded": ("不穩", "degraded"),
        "offline": ("離線", "offline"),
        "more_banks": ("另有 {count} 個", "and {count} more"),
        # where a bank is
        "requested": ("待接單", "asked for"),
        "accepted": ("已接單", "taken"),
        "delivering": ("配送中", "on its way"),
        "delivered": ("已送達", "handed over"),
        "deposit_due": ("待付押金", "deposit due"),
        "starting": ("正在啟動", "starting"),
        "renting": ("租借中", "rented"),
        "returning": ("待取回", "to collect"),
        "payment_due": ("待支付", "bill due"),
        "start_failed": ("啟動失敗", "not started"),
        "with_staff": ("服務人員處", "with staff"),
        "with_renter": ("租用人處", "with renter"),
        "for_rent": ("可租", "for rent"),
        "low": ("電量低", "too low"),
        "not_now": ("暫不可租", "not now"),
        "lost": ("遺失", "lost"),
        "sold": ("已售出", "sold"),
        # the receipt
        "blocks": ("{quantity} x {block}", "{quantity} x {block}"),
        "cap_24h": ("每日封頂", "daily cap"),
        "delivery": ("配送費", "delivery"),
        "delivery_late": ("配送超時，免收", "late delivery, waived"),
        "cap_total": ("總封頂", "total cap"),
        "total": ("合計，已支付", "total, paid"),
        "deposit_released": ("押金 {amount}：已解凍", "deposit {amount}: released"),
        "billed": ("計費", "billed"),
        "span": ("{start} 至 {end}，{seconds} 秒", "{start} to {end}, {seconds} s"),
        "rental": ("訂單", "rental"),
        "brought_by": ("配送", "brought by"),
        "minutes": ("{n} 分鐘", "{n} min"),
    }
)

NEWS: Final[Mapping[str, _Both]] = MappingProxyType(
    {
        "rental.requested": ("有人要租", "asked for"),
        "rental.accepted": ("已接單", "job taken"),
        "rental.delivering": ("配送中", "on its way"),
        "rental.delivered": ("已送達", "handed over"),
        "deposit.notice": ("押金通知", "deposit notice"),
        "deposit.held": ("押金已凍結", "deposit held"),
        "rental.renting": ("租借開始", "rented"),
        "rental.return_requested": ("申請歸還", "return asked for"),
        "collection.accepted": ("已接取回", "collection taken"),
        "collection.set_out": ("前往取回", "collector on the way"),
        "rental.payment_due": ("待支付", "bill due"),
        "rental.completed": ("訂單完成", "completed"),
        "rental.cancelled": ("已取消", "cancelled"),
        "rental.undeliverable": ("無法送達", "could not be delivered"),
        "rental.start_failed": ("啟動失敗", "not started"),
        "rental.bank_unfit": ("設備不可用", "bank unfit to start"),
        "rental.start_in_doubt": ("啟動待查", "start in doubt"),
        "rental.claimed_returned": ("稱已歸還", "said to be back"),
        "rental.return_denied": ("尚未歸還", "not back yet"),
        "rental.overdue": ("逾期提醒", "out for long"),
        "rental.uncollected": ("等待取回", "not fetched yet"),
        "rental.missing": ("設備失聯", "missing"),
        "rental.bought_out": ("已買下", "bought"),
        "rental.found_again": ("已尋回", "found again"),
        "rental.put_right": ("平台已處理", "put right by hand"),
        "payment.open": ("支付頁面已備好", "page to pay on"),
        "payment.authorized": ("已同意凍結", "hold agreed to"),
        "payment.paid": ("已付款", "paid"),
        "payment.canceled": ("凍結已解除", "hold let go"),
        "payment.expired": ("支付已過期", "payment expired"),
        "payment.failed": ("付款失敗", "payment failed"),
        "payment.refunded": ("已退款", "refunded"),
        "payment.refund_returned": ("退款被退回，將再次退款", "refund came back, to go anew"),
        "merchant.approved": ("商戶通過審核", "merchant approved"),
        "staff.hired": ("成為服務人員", "hired"),
        "bank.locked": ("已上鎖", "locked"),
        "bank.unlocked": ("已開鎖", "unlocked"),
        "bank.lock_jammed": ("鎖卡住", "lock jammed"),
        "bank.online": ("上線", "online"),
        "bank.offline": ("離線", "offline"),
        "bank.battery_low": ("電量低", "battery low"),
        "bank.battery_recovered": ("電量恢復", "battery recovered"),
        "bank.fault_raised": ("出現故障", "fault"),
        "bank.fault_cleared": ("故障排除", "fault cleared"),
    }
)
"""What people hear; a kind that is not here is told as it is."""


def say(key: str, lang: Lang, /, **facts: object) -> str:
    """One sentence or word."""
    return _SENTENCES[key][_place(lang)].format(**facts)


def title(step: str, lang: Lang, facts: Mapping[str, object]) -> str:
    """Who does what in a step."""
    return STEPS[step][0][_place(lang)].format(**facts)


def outcome(step: str, lang: Lang, facts: Mapping[str, object]) -> str:
    """What came of a step."""
    return STEPS[step][1][_place(lang)].format(**facts)


def news(kind: str, lang: Lang) -> str:
    """What somebody heard."""
    return NEWS.get(kind, (kind, kind))[_place(lang)]


def reader(environment: Mapping[str, str]) -> Lang:
    """The language of who started this, by the usual variables; English where none is known."""
    set_ = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    first = next((value for value in set_ if value), "")
    return Lang.ZH if first.lower().startswith("zh") else Lang.EN


def _place(lang: Lang) -> int:
    return 0 if lang is Lang.ZH else 1
