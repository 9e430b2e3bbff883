"""What people read when something is refused, in each language.

A text has two parts: a title that says what is wrong, the same each time, and a detail that
names the facts of this time and says what to do. ``{names}`` are filled from the refusal's
details; words in them that are themselves codes (a state, a reason) are translated first.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain import money
from backend.domain.custody import Holder, Proof
from backend.domain.deposit import DepositState
from backend.domain.dispute import DisputeState
from backend.domain.erasure import StillOpen
from backend.domain.errors import Code
from backend.domain.hours import Day, HoursProblem
from backend.domain.lang import Lang
from backend.domain.money import Currency, Minor
from backend.domain.precheck import WhyNot
from backend.domain.rental import RentalState

DEFAULT: Final = Lang.EN


class EdgeCode(StrEnum):
    """Refusals that only HTTP knows."""

    MALFORMED = "malformed"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Words:
    """One text in one language."""

    title: str
    detail: str


def _both(zh_title: str, zh_detail: str, en_title: str, en_detail: str) -> Mapping[Lang, Words]:
    return MappingProxyType(
        {Lang.ZH: Words(zh_title, zh_detail), Lang.EN: Words(en_title, en_detail)}
    )


WORDS: Final[Mapping[Code | EdgeCode, Mapping[Lang, Words]]] = MappingProxyType(
    {
        # Who asks.
        Code.UNAUTHENTICATED: _both(
            "請先登入",
            "未提供有效的訪問令牌，或令牌已過期。請刷新令牌或重新登入。",
            "Sign in first",
            "There is no access token, or it is no longer good. Refresh it, or sign in again.",
        ),
        Code.SIGN_IN_CODE_WRONG: _both(
            "驗證碼不正確",
            "驗證碼不正確，還可以嘗試 {tries_left} 次。請核對後重試，或重新獲取驗證碼。",
            "The code is wrong",
            "This is not the code that was sent; {tries_left} tries are left. Check it, or ask "
            "for a new one.",
        ),
        Code.SIGN_IN_CODE_EXPIRED: _both(
            "驗證碼已失效",
            "驗證碼已過期、已使用或嘗試次數過多。請重新獲取驗證碼。",
            "The code is no longer good",
            "It is too old, was used, or was guessed at too often. Ask for a new one.",
        ),
        Code.SESSION_ENDED: _both(
            "登入已結束",
            "此設備已退出登入。請重新登入。",
            "You are signed out",
            "This device is no longer signed in. Sign in again.",
        ),
        Code.FORBIDDEN: _both(
            "沒有權限",
            "您的帳號不能執行此操作。請換用有權限的帳號，或向商戶、平台申請權限。",
            "You may not do this",
            "Your account has no right to it. Use one that has, or ask the merchant or the "
            "platform for it.",
        ),
        Code.NOT_FOUND: _both(
            "未找到",
            "沒有這個內容，或者它不屬於您。請核對鏈接或編號。",
            "Not found",
            "There is no such thing, or it is not yours. Check the link or the number.",
        ),
        Code.STILL_OPEN: _both(
            "還有未了結的事項",
            "請先了結：{what}。之後即可刪除帳號。",
            "Something is still open",
            "End this first: {what}. Then the account can be erased.",
        ),
        # How it is asked.
        Code.INVALID_REQUEST: _both(
            "請求內容有誤",
            "有些內容不符合要求。請按「errors」中的說明修改後重試。",
            "The request is not valid",
            "Some of it cannot be accepted. Mend what “errors” names, and try again.",
        ),
        Code.TOO_LARGE: _both(
            "請求內容過大",
            "請求超過了大小限制。請減少內容後重試。",
            "The request is too large",
            "It is over the size limit. Send less.",
        ),
        Code.TOO_MANY_REQUESTS: _both(
            "操作過於頻繁",
            "請在 {retry_after_s} 秒後重試。",
            "Too often",
            "Try again in {retry_after_s} seconds.",
        ),
        Code.IDEMPOTENCY_KEY_MISSING: _both(
            "缺少 Idempotency-Key",
            "請在請求頭 Idempotency-Key 中附上一個新的唯一值，例如 UUID。",
            "Idempotency-Key is missing",
            "Send a header Idempotency-Key with a text that is new for each thing you want "
            "done, for instance a UUID.",
        ),
        Code.IDEMPOTENCY_KEY_REUSED: _both(
            "Idempotency-Key 已被另一請求使用",
            "同一個 Idempotency-Key 不能用於不同的內容。請為新的操作換一個值。",
            "This Idempotency-Key belongs to another request",
            "It came before with other content. Use a new key for a new thing.",
        ),
        Code.ALREADY_DONE: _both(
            "已經完成",
            "這個請求之前已經執行，當時的回覆沒有保留（密鑰只顯示一次）。如需新的密鑰，請用新的 "
            "Idempotency-Key 再次更換。",
            "This was done before",
            "What was answered then was not kept: a secret is shown once. If it was lost, make a "
            "new one, under a new Idempotency-Key.",
        ),
        Code.TRY_AGAIN: _both(
            "系統繁忙",
            "系統暫時無法處理。請在 {retry_after_s} 秒後重試。",
            "Busy",
            "It cannot be done at the moment. Try again in {retry_after_s} seconds.",
        ),
        EdgeCode.MALFORMED: _both(
            "無法讀取請求",
            "請求正文不是有效的 JSON。請檢查格式後重試。",
            "The request cannot be read",
            "Its body is not JSON. Check how it is written, and try again.",
        ),
        EdgeCode.METHOD_NOT_ALLOWED: _both(
            "不支持此方法",
            "此地址不支持該 HTTP 方法。可用的方法見 Allow 響應頭。",
            "Not this method",
            "This address does not take that HTTP method; the Allow header names those it does.",
        ),
        EdgeCode.INTERNAL: _both(
            "系統出錯",
            "這是我們的問題，已經記錄。請稍後重試。",
            "Something went wrong here",
            "The fault is ours, and was noted. Try again later.",
        ),
        # Renting.
        Code.WRONG_STATE: _both(
            "當前狀態下無法操作",
            "當前狀態為「{state}」，不能執行此操作。請刷新後查看最新狀態。",
            "Not now",
            "This cannot be done while it is “{state}”. Reload to see where it stands.",
        ),
        Code.BANK_UNAVAILABLE: _both(
            "這個充電寶現在不能租",
            "原因：{why}。請換一個充電寶，或稍後再試。",
            "This power bank cannot be rented now",
            "Because {why}. Take another one, or try later.",
        ),
        Code.ALREADY_TAKEN: _both(
            "已被他人接單",
            "另一位先到一步。請選擇其他任務或充電寶。",
            "Taken",
            "Somebody else was first. Choose another.",
        ),
        Code.JOB_ENDED: _both(
            "任務已結束",
            "這項任務已取消或已交給他人。如果充電寶在您手中，請帶回並辦理歸還。",
            "This job has ended",
            "It was called off, or went to somebody else. If you have the power bank, bring it "
            "home and check it in.",
        ),
        Code.NOT_AT_DOOR: _both(
            "您似乎不在門口",
            "您的手機沒有顯示您在收貨地點。請打開定位，到達後再試。",
            "You are not known to be at the door",
            "Your phone does not say that you are at the place of delivery. Let it tell where you "
            "are, and try again when you are there.",
        ),
        Code.RENTER_MAY_COME: _both(
            "請再等一等",
            "用戶已收到您到達的通知。請再等 {retry_after_s} 秒。",
            "Wait a little longer",
            "The renter was told that you are there. Wait another {retry_after_s} seconds.",
        ),
        Code.BANK_IN_HAND: _both(
            "手中還有充電寶",
            "{bank} 還在您手中。請先交付或帶回，再下班。",
            "You still have a power bank",
            "{bank} is in your hands. Hand it over or check it in, then go off shift.",
        ),
        Code.BANK_BUSY: _both(
            "充電寶正在執行其他指令",
            "請稍等片刻再試。",
            "The power bank is busy",
            "It is still carrying out another command. Try again in a moment.",
        ),
        Code.CANCEL_COSTS: _both(
            "取消需要付費",
            "現在取消的費用是 {fee_minor}，高於您看到的 {seen_minor}。"
            "訂單沒有取消；同意後請重新提交。",
            "Cancelling costs something",
            "It costs {fee_minor} now, more than the {seen_minor} you saw. Nothing was cancelled; "
            "send it again with this fee if you agree.",
        ),
        Code.NOBODY_NEAR: _both(
            "附近沒有可更換的充電寶",
            "訂單沒有改動。請稍後再試，或申請取回。",
            "No other power bank is near",
            "Nothing was changed. Try again later, or have it fetched.",
        ),
        Code.SWAPPED_TOO_OFTEN: _both(
            "更換次數已達上限",
            "最多可以更換 {most} 次。請申請取回，再租另一個。",
            "Swapped too often",
            "One rental can be swapped {most} times. Have it fetched, and rent another.",
        ),
        Code.CLAIMED_TOO_OFTEN: _both(
            "平台已經裁定",
            "平台查核後認為充電寶尚未歸還。請申請取回，或聯繫平台。",
            "The platform has decided",
            "It looked into it and found that the power bank is not back. Have it fetched, or "
            "write to the platform.",
        ),
        Code.OPERATOR_DECIDES: _both(
            "由平台裁定",
            "租用人多次表示已歸還。現在由平台查核，請等待結果。",
            "The platform decides this",
            "The renter has said it too often for you to deny it alone. Wait for the platform.",
        ),
        Code.NOT_IN_DOUBT: _both(
            "結果沒有疑問",
            "充電寶是否已啟動並不存疑，無需人工裁定。請刷新後查看。",
            "This is not in doubt",
            "Whether the power bank started is known, or will be in a moment. Reload to see.",
        ),
        # Handing over.
        Code.WRONG_BANK: _both(
            "不是這個充電寶",
            "掃到的是 {scanned}，應為 {expected}。請掃描正確的充電寶。",
            "This is another power bank",
            "You scanned {scanned}; it should be {expected}. Scan the right one.",
        ),
        Code.BAD_CODE: _both(
            "交接碼不正確",
            "還可以嘗試 {tries_left} 次。請向租用人核對四位交接碼。",
            "The handover code is wrong",
            "{tries_left} tries are left. Ask the renter for their four digits again.",
        ),
        Code.CODE_LOCKED: _both(
            "交接碼已鎖定",
            "嘗試次數過多。請租用人查看新的交接碼。",
            "The handover code is locked",
            "It was tried too often. Ask the renter for the new one on their screen.",
        ),
        Code.PROOF_REQUIRED: _both(
            "需要交接憑證",
            "充電寶從{giver}交給{taker}時，不能只憑「{proof}」。請掃描充電寶或輸入交接碼。",
            "Proof is needed",
            "From {giver} to {taker}, “{proof}” is not enough. Scan the power bank, or type the "
            "handover code.",
        ),
        Code.WRONG_HANDS: _both(
            "不能這樣交接",
            "充電寶不能從{giver}直接交給{taker}。請刷新後查看它現在在誰手裡。",
            "It cannot change hands like this",
            "A power bank does not go from {giver} to {taker}. Reload to see who has it.",
        ),
        Code.CUSTODY_DISAGREES: _both(
            "充電寶不在應在之處",
            "訂單為「{state}」，充電寶卻在{holder}手裡。沒有任何改動，請聯繫平台核對。",
            "The power bank is not where it should be",
            "The rental would be “{state}”, but {holder} has it. Nothing was changed; ask the "
            "platform to look at it.",
        ),
        Code.SOLD_FOR_GOOD: _both(
            "已經售出",
            "充電寶售出已超過可退回的期限，現在屬於買下它的人。",
            "It is sold for good",
            "The time in which it could come back is over. It belongs to who bought it.",
        ),
        # Money.
        Code.DISCLOSURE_NOT_ACCEPTED: _both(
            "請先同意計費說明",
            "請閱讀計費規則與押金說明，同意後再繼續。",
            "Accept the price first",
            "Read the price and the deposit's terms, and accept them to go on.",
        ),
        Code.DEPOSIT_NOT_HELD: _both(
            "押金尚未支付",
            "請先支付押金，再開始充電。",
            "The deposit is not held",
            "Pay the deposit first; charging starts after it.",
        ),
        Code.PAYMENT_IN_DOUBT: _both(
            "正在確認付款結果",
            "上一筆付款的結果還不確定，請不要重複付款。稍後再查看。",
            "A payment is still in doubt",
            "Whether the last payment went through is not known yet. Do not pay twice; look "
            "again soon.",
        ),
        Code.NOTHING_TO_PAY: _both(
            "沒有待付款項",
            "此訂單無需付款。",
            "Nothing to pay",
            "This rental owes nothing.",
        ),
        Code.NOTHING_TO_REFUND: _both(
            "沒有可退的款項",
            "這條通知沒有說明已付的是哪一筆款，或已經退過。請在支付機構查詢後再處理。",
            "Nothing to refund",
            "This notice does not tell of a payment that can be sent back, or it was dealt with "
            "already. Look the payment up at the provider.",
        ),
        Code.MORE_THAN_BILLED: _both(
            "超過帳單金額",
            "此帳單最多還可退減 {left_minor}。請改用較小的金額。",
            "More than the bill",
            "Of this bill {left_minor} is left. Name no more than that.",
        ),
        Code.MORE_THAN_DISPUTED: _both(
            "超過爭議金額",
            "爭議金額為 {disputed_minor}，判定的金額不能超過它。",
            "More than is disputed",
            "The dispute is about {disputed_minor}. Grant no more than that.",
        ),
        Code.DISPUTE_TOO_LATE: _both(
            "已過爭議期",
            "此訂單的爭議期已結束。如仍有疑問，請聯繫平台。",
            "Too late to dispute",
            "The time to dispute this bill is over. If something is wrong, ask the platform.",
        ),
        Code.ALREADY_DISPUTED: _both(
            "已有爭議",
            "此訂單已有未結的爭議，或爭議次數已用完。請等待結果，或聯繫平台。",
            "Already disputed",
            "A dispute of this bill is open, or it was disputed as often as it can be. Wait for "
            "the outcome, or ask the platform.",
        ),
        Code.AMOUNT_MISMATCH: _both(
            "金額不符",
            "應為 {expected_minor}，實為 {got_minor}。請聯繫平台核對。",
            "The amount does not fit",
            "{expected_minor} was expected, {got_minor} came. Ask the platform to look at it.",
        ),
        Code.UNKNOWN_CURRENCY: _both(
            "不支持的貨幣",
            "不支持 {currency}。請使用 ISO 4217 代碼，例如 CNY。",
            "Unknown currency",
            "{currency} is not one that we know. Use an ISO 4217 code, as CNY.",
        ),
        Code.OVERDRAWN: _both(
            "餘額不足",
            "餘額不足以完成此操作。請查看餘額後減少金額。",
            "Not enough balance",
            "The balance does not cover it. Look at the balance, and ask for less.",
        ),
        Code.NO_PAYOUT_ACCOUNT: _both(
            "尚未設置收款賬戶",
            "提現前請先設置收款賬戶。",
            "There is no payout account",
            "Say first where withdrawals are to go.",
        ),
        Code.WITHDRAWAL_TOO_SMALL: _both(
            "提現金額過小",
            "單筆提現不得少於 {minimum_minor}。請增加金額。",
            "Too little to pay out",
            "The least is {minimum_minor}. Ask for more, or wait until there is more.",
        ),
        Code.WITHDRAWAL_TOO_LARGE: _both(
            "超出可提現金額",
            "可提現金額為 {available_minor}。請減少金額。",
            "More than can be withdrawn",
            "You can withdraw {available_minor}. Ask for no more than that.",
        ),
        Code.PROVIDER_AWAY: _both(
            "支付機構沒有回應",
            "暫時聯繫不上支付機構。我們會繼續確認，請稍後查看。",
            "The payment provider does not answer",
            "We keep asking. Look again soon.",
        ),
        Code.BAD_SIGNATURE: _both(
            "簽名無效",
            "通知的簽名無法驗證。請檢查密鑰與時間戳。",
            "The signature is not good",
            "This notice cannot be believed. Check the key and the timestamp.",
        ),
        # Lending.
        Code.MERCHANT_NOT_APPROVED: _both(
            "商戶尚未通過審核",
            "平台審核通過後才能出租。請等待審核結果。",
            "The merchant is not approved",
            "The platform must approve it before it may lend. Wait for its word.",
        ),
        Code.MERCHANT_NAME_TAKEN: _both(
            "您已有同名商戶",
            "請換一個名稱。",
            "You have a merchant of this name",
            "Choose another name.",
        ),
        Code.UNKNOWN_TIMEZONE: _both(
            "未知時區",
            "沒有時區「{timezone}」。請使用 IANA 名稱，例如 Asia/Shanghai。",
            "Unknown time zone",
            "There is no “{timezone}”. Use an IANA name, as Asia/Shanghai.",
        ),
        Code.BANK_ALREADY_REGISTERED: _both(
            "充電寶已登記",
            "{bank} 已經登記過。請核對編號。",
            "This power bank is registered already",
            "{bank} is on the platform. Check its number.",
        ),
        Code.STAFF_ALREADY_HIRED: _both(
            "已是服務人員",
            "此人已經是該商戶的服務人員。",
            "Already on the staff",
            "This person works for the merchant already.",
        ),
        Code.STAFF_HAS_BANK: _both(
            "手中還有充電寶",
            "請先讓此人交還 {bank}，再辦理離職。",
            "A power bank is still in their hands",
            "Have them bring {bank} back first.",
        ),
        Code.BANK_WITH_RENTAL: _both(
            "充電寶正在訂單中",
            "{bank} 正在一個訂單中。請在訂單結束後再操作。",
            "A rental has this power bank",
            "{bank} is in a rental. Do it when that is over.",
        ),
        Code.BANK_NOT_AT_HOME: _both(
            "充電寶不在店內",
            "{bank} 現在在{holder}處。請在它回到店內後再操作。",
            "This power bank is not at home",
            "{bank} is with {holder} now. Do it when it is back.",
        ),
        Code.BANK_RECALLED: _both(
            "充電寶已被召回",
            "{bank} 已被平台召回，不能出租。請按召回說明處理。",
            "This power bank was recalled",
            "{bank} was recalled by the platform and cannot go out. Do as the recall says.",
        ),
        Code.TOO_MANY_BANKS: _both(
            "一次召回的充電寶過多",
            "一次最多召回 {most} 個。請列出該批次中尚未召回的充電寶，用 bank_ids 分幾次召回。",
            "Too many power banks at once",
            "{most} are recalled at once. List those of the batch that are not recalled yet, and "
            "name them by bank_ids, in several requests.",
        ),
        Code.BANK_TO_INSPECT: _both(
            "充電寶需要先檢查",
            "請先檢查 {bank}，確認完好後標記為「已檢查」。",
            "This power bank is to be inspected first",
            "Look {bank} over, and mark it as inspected if it is sound.",
        ),
        Code.BAD_HOURS: _both(
            "營業時間有誤",
            '{where} {problem}。格式示例：{{"mon": [["09:00", "22:00"]]}}。',
            "The opening hours cannot stand",
            '{where} {problem}. Write them as {{"mon": [["09:00", "22:00"]]}}.',
        ),
        Code.PLACE_INCOMPLETE: _both(
            "地點不完整",
            "修改地點時，請同時提供 address、lat 和 lng。",
            "The place is not complete",
            "A new place needs its address, lat and lng together.",
        ),
        Code.WEBHOOK_REFUSED: _both(
            "不能使用此地址",
            "無法向此地址發送消息：{why}。請修改地址後重試。",
            "This address cannot be used",
            "Nothing can be sent there: {why}. Give another address.",
        ),
        Code.BAD_TARIFF: _both(
            "計費規則有誤",
            "問題：{problems}。請修改後重新提交。",
            "The tariff cannot stand",
            "It has these problems: {problems}. Mend them, and send it again.",
        ),
        Code.TARIFF_NEGATIVE: _both(
            "價格不能為負", "請填寫零或正數。", "A price is negative", "Use zero or more."
        ),
        Code.TARIFF_GAP: _both(
            "計費規則有空檔",
            "有一段時間沒有價格。請補全。",
            "The tariff has a gap",
            "Some time has no price. Fill it.",
        ),
        Code.TARIFF_CAP_UNDER_BLOCK: _both(
            "每日封頂低於單次價格",
            "請提高每日封頂或降低單次價格。",
            "The daily cap is under one block's price",
            "Raise the cap, or lower the price.",
        ),
        Code.TARIFF_TOTAL_UNDER_CAP: _both(
            "總封頂低於每日封頂",
            "請提高總封頂或降低每日封頂。",
            "The total cap is under the daily cap",
            "Raise the total cap, or lower the daily one.",
        ),
        Code.TARIFF_NO_DEPOSIT: _both(
            "沒有押金", "請填寫大於零的押金。", "There is no deposit", "Ask for one above zero."
        ),
        Code.TARIFF_DEPOSIT_OVER_TOTAL: _both(
            "押金高於總封頂",
            "請降低押金或提高總封頂。",
            "The deposit is over the total cap",
            "Lower the deposit, or raise the cap.",
        ),
        Code.TARIFF_OUT_OF_RANGE: _both(
            "數值超出範圍",
            "請填寫合理範圍內的數值。",
            "A number is out of range",
            "Use one that makes sense.",
        ),
        Code.TARIFF_CANCEL_OVER_TOTAL: _both(
            "取消費高於總封頂",
            "請降低取消費。",
            "A cancellation costs more than the whole rental may",
            "Lower the cancellation fee.",
        ),
        Code.TARIFF_CANCEL_FALLS: _both(
            "配送途中的取消費低於接單後的取消費",
            "越晚取消，費用不應越低。請調整。",
            "Cancelling later costs less than cancelling sooner",
            "Let the fee under way be no lower than the one after accepting.",
        ),
        Code.TARIFF_BAD_BATTERY: _both(
            "最低電量不在 0 至 100 之間",
            "請填寫 0 至 100 之間的百分比。",
            "The least charge is not a percentage",
            "Use 0 to 100.",
        ),
        Code.TARIFF_MARKET_CURRENCY: _both(
            "貨幣不符合該市場",
            "請選擇與商戶貨幣相符的市場。",
            "The market has another currency",
            "Choose the market of the merchant's currency.",
        ),
        Code.TARIFF_MARKET_BLOCK: _both(
            "計費單位超過該市場的上限",
            "該市場的計費單位不得超過 15 分鐘。",
            "The block is longer than the market allows",
            "Use 15 minutes at most.",
        ),
        Code.TARIFF_MARKET_FREE: _both(
            "免費時間少於該市場的要求",
            "該市場至少免費 5 分鐘。",
            "There is less free time than the market asks for",
            "Give the first 5 minutes at least.",
        ),
        Code.TARIFF_MARKET_ROUNDING: _both(
            "該市場不足一個計費單位的時間不計費",
            "請使用 floor_after_first。",
            "The market has later incomplete blocks free",
            "Use floor_after_first.",
        ),
        Code.TARIFF_MARKET_BATTERY: _both(
            "最低電量低於該市場的要求",
            "該市場要求交付時電量至少 50%。",
            "The least charge is under the market's",
            "Hand over at 50 % or more.",
        ),
        # Files of banks.
        Code.CSV_UNREADABLE: _both(
            "無法讀取文件",
            "請上傳 UTF-8 編碼的 CSV 文件。",
            "The file cannot be read",
            "Send CSV, written in UTF-8.",
        ),
        Code.CSV_BAD_HEADER: _both(
            "表頭不正確",
            "第一行應為「{expected}」。",
            "The header is not right",
            "The first line should be “{expected}”.",
        ),
        Code.CSV_TOO_MANY_ROWS: _both(
            "行數過多",
            "一個文件最多 {most} 行。請分成幾個文件上傳。",
            "Too many rows",
            "A file has {most} rows at most. Send several.",
        ),
        Code.CSV_ROW_WIDTH: _both(
            "列數不正確",
            "應有 {expected} 列，實有 {got} 列。",
            "The row has not as many columns as the header",
            "It should have {expected}, and has {got}.",
        ),
        Code.CSV_BAD_BANK_ID: _both(
            "編號格式不正確",
            "編號應為 4 至 32 個大寫字母、數字或連字符。",
            "This is no power bank's number",
            "It has 4 to 32 capitals, digits and hyphens.",
        ),
        Code.CSV_BAD_MODEL: _both(
            "型號格式不正確",
            "型號應為 1 至 32 個字母、數字或 . _ + -。",
            "This is no model",
            "It has 1 to 32 letters, digits and . _ + -.",
        ),
        Code.CSV_BAD_BATCH: _both(
            "批次格式不正確",
            "批次最多 32 個字母、數字或 . _ + -，可以留空。",
            "This is no batch",
            "It has up to 32 letters, digits and . _ + -, or is left empty.",
        ),
        Code.CSV_REPEATED: _both(
            "文件中重複",
            "{bank} 已在第 {line} 行出現過。",
            "This power bank is in the file twice",
            "{bank} is on line {line} already.",
        ),
    }
)

NAMES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        RentalState.REQUESTED: ("待接單", "waiting for the merchant"),
        RentalState.ACCEPTED: ("已接單", "accepted"),
        RentalState.DELIVERING: ("配送中", "on its way"),
        RentalState.DELIVERED: ("已送達", "delivered"),
        RentalState.DEPOSIT_DUE: ("待付押金", "waiting for the deposit"),
        RentalState.STARTING: ("正在啟動", "starting"),
        RentalState.RENTING: ("租借中", "rented"),
        RentalState.RETURNING: ("歸還中", "being returned"),
        RentalState.PAYMENT_DUE: ("待支付", "waiting for payment"),
        RentalState.COMPLETED: ("已完成", "completed"),
        RentalState.CANCELLED: ("已取消", "cancelled"),
        RentalState.UNDELIVERABLE: ("無法送達", "could not be delivered"),
        RentalState.START_FAILED: ("啟動失敗", "not started"),
        DepositState.PENDING: ("待確認", "pending"),
        DepositState.HELD: ("已凍結", "held"),
        DepositState.SECURED: ("已代管", "kept for you"),
        DepositState.CAPTURED: ("已扣除", "captured"),
        DepositState.RELEASED: ("已退還", "released"),
        DepositState.DECLINED: ("未被接受", "declined"),
        DepositState.EXPIRED: ("已過期", "expired"),
        DepositState.UNKNOWN: ("待查明", "in doubt"),
        DisputeState.UPHELD: ("爭議成立", "upheld"),
        DisputeState.PARTLY_UPHELD: ("爭議部分成立", "upheld in part"),
        DisputeState.REJECTED: ("爭議不成立", "rejected"),
        DisputeState.WITHDRAWN: ("爭議已撤回", "withdrawn"),
        "open": ("待處理", "open"),
        "under_way": ("進行中", "under way"),
        "done": ("已完成", "done"),
        "approved": ("已通過審核", "approved"),
        "suspended": ("已停用", "suspended"),
        "erased": ("已刪除", "erased"),
        StillOpen.SUSPENSION: ("帳號已停用", "a suspension of the account"),
        StillOpen.RENTAL: ("進行中的訂單", "a rental"),
        StillOpen.BILL: ("未支付的帳單", "an unpaid bill"),
        StillOpen.DEPOSIT: ("未退還的押金", "a deposit"),
        StillOpen.PAYMENT: ("進行中的支付", "a payment"),
        StillOpen.REFUND: ("未到帳的退款", "a refund"),
        StillOpen.DISPUTE: ("未結的爭議", "a dispute"),
        StillOpen.JOB: ("未完成的配送或取回", "a delivery or a collection"),
        StillOpen.BANK_IN_HAND: ("手中的充電寶", "a power bank in hand"),
        StillOpen.MERCHANT_BANKS: ("商戶名下的充電寶", "power banks of the merchant"),
        StillOpen.MERCHANT_RENTALS: ("商戶的訂單", "rentals of the merchant"),
        StillOpen.WITHDRAWAL: ("處理中的提現", "a withdrawal"),
        StillOpen.MONEY: ("未結清的款項", "money that is not settled"),
        "none": ("無", "nothing"),
        "ended": ("已停用", "ended"),
        "no_address": ("不是完整的網址", "it is no whole address"),
        "not_https": ("網址必須以 https 開頭", "it must begin with https"),
        "webhook_is_there": ("此地址已添加", "it is told already"),
        "too_many_webhooks": ("地址過多", "there are too many addresses"),
        Holder.MERCHANT: ("商戶", "the merchant"),
        Holder.STAFF: ("服務人員", "the staff"),
        Holder.RENTER: ("租用人", "the renter"),
        Holder.LOST: ("遺失", "lost"),
        Holder.SOLD: ("已售出", "sold"),
        Proof.SCAN: ("掃碼", "a scan"),
        Proof.CODE: ("交接碼", "a code"),
        Proof.REASON: ("說明", "a reason"),
        Day.MON: ("週一", "Monday"),
        Day.TUE: ("週二", "Tuesday"),
        Day.WED: ("週三", "Wednesday"),
        Day.THU: ("週四", "Thursday"),
        Day.FRI: ("週五", "Friday"),
        Day.SAT: ("週六", "Saturday"),
        Day.SUN: ("週日", "Sunday"),
        HoursProblem.NOT_A_WEEK: ("應按星期列出時段", "needs spans by weekday"),
        HoursProblem.UNKNOWN_DAY: ("不是星期的縮寫（mon 至 sun）", "is none of mon to sun"),
        HoursProblem.NOT_A_SPAN: ("時段應為開始與結束兩個時間", "needs pairs of times"),
        HoursProblem.NOT_A_TIME: ("時間應為 00:00 至 24:00", "needs times from 00:00 to 24:00"),
        HoursProblem.EMPTY_SPAN: ("有時段沒有長度", "has a span without length"),
        HoursProblem.TOO_MANY_SPANS: ("時段過多", "has too many spans"),
        HoursProblem.OVERLAP: ("有時段重疊", "has spans that overlap"),
        WhyNot.NOT_REGISTERED: ("未在平台登記", "it is not on the platform"),
        WhyNot.RECALLED: ("已被召回", "it was recalled"),
        WhyNot.NOT_APPROVED: ("商戶尚未通過審核", "its merchant is not approved yet"),
        WhyNot.NO_TARIFF: ("商戶還沒有設置價格", "its merchant has set no price"),
        WhyNot.NOT_WITH_MERCHANT: ("充電寶不在商戶處", "it is not with its merchant"),
        WhyNot.NOT_OFFERED: ("商戶暫不出租", "its merchant does not offer it now"),
        WhyNot.RESERVED: ("已被他人租用", "somebody else has it"),
        WhyNot.CLOSED: ("商戶已打烊", "its merchant is closed"),
        WhyNot.OUT_OF_AREA: ("您在服務範圍之外", "you are outside its service area"),
        WhyNot.FAULTY: ("設備故障", "it has a fault"),
        WhyNot.OFFLINE: ("設備離線", "it is offline"),
        WhyNot.LOW: ("電量不足", "its battery is low"),
        WhyNot.UNPAID_BILL: ("您有未支付的訂單", "you have an unpaid rental"),
        WhyNot.TOO_MANY_RENTALS: ("您同時租用的數量已達上限", "you have too many rentals at once"),
        WhyNot.SUSPENDED: ("您的帳號已停用", "your account is suspended"),
    }
)
"""Codes that stand inside a sentence, zh and en."""

FIELD_WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "missing": ("必填", "is missing"),
        "extra_forbidden": ("不認識這一項", "is not known here"),
        "string_too_short": ("至少 {min_length} 個字符", "needs at least {min_length} characters"),
        "string_too_long": ("最多 {max_length} 個字符", "has at most {max_length} characters"),
        "string_pattern_mismatch": ("格式不正確", "is not written as it should be"),
        "string_type": ("應為文字", "must be a text"),
        "int_type": ("應為整數", "must be a whole number"),
        "int_parsing": ("應為整數", "must be a whole number"),
        "int_from_float": ("應為整數", "must be a whole number"),
        "float_type": ("應為數字", "must be a number"),
        "float_parsing": ("應為數字", "must be a number"),
        "finite_number": ("應為有限的數字", "must be a finite number"),
        "bool_type": ("應為 true 或 false", "must be true or false"),
        "greater_than": ("必須大於 {gt}", "must be more than {gt}"),
        "greater_than_equal": ("不能小於 {ge}", "must be at least {ge}"),
        "less_than": ("必須小於 {lt}", "must be less than {lt}"),
        "less_than_equal": ("不能大於 {le}", "must be at most {le}"),
        "literal_error": ("只能是 {expected}", "must be {expected}"),
        "enum": ("只能是 {expected}", "must be {expected}"),
        "too_long": ("最多 {max_length} 項", "has at most {max_length} items"),
        "too_short": ("至少 {min_length} 項", "needs at least {min_length} items"),
    }
)
"""What is wrong with one field, by pydantic's name for it."""
_FIELD_OTHER: Final = ("內容無效", "is not valid")


def language(accept_language: str | None) -> Lang:
    """Choose the language a reader likes best, from an ``Accept-Language`` header."""
    likes = [part.strip().partition(";") for part in (accept_language or "").split(",")]
    ranked = sorted(likes, key=lambda like: -_liking(like[2]))
    for tag, _, quality in ranked:
        if tag[:2].lower() in tuple(Lang) and _liking(quality) > 0:
            return Lang(tag[:2].lower())
    return DEFAULT


def _liking(quality: str) -> float:
    found = re.fullmatch(r"\s*q\s*=\s*(\d(?:\.\d{0,3})?)\s*", quality)
    return float(found[1]) if found else 1.0


def words(code: Code | EdgeCode, lang: Lang, facts: Mapping[str, str | int]) -> Words:
    """Say why something is refused, with the facts of this time."""
    text = WORDS[code][lang]
    named = {name: _fact(name, value, facts, lang) for name, value in facts.items()}
    return Words(text.title, text.detail.format_map(_Facts(named)))


def _fact(name: str, value: str | int, facts: Mapping[str, str | int], lang: Lang) -> str:
    """Write a fact as people do: an amount, of which the currency is told, as money."""
    if name.endswith("_minor") and "currency" in facts:
        return money.show(Minor(int(value)), Currency.of(str(facts["currency"])))
    return _name(value, lang)


def names(codes: Iterable[str], lang: Lang) -> list[str]:
    """Say what these codes (states, reasons, problems) mean, one phrase each."""
    return [_name(code, lang) for code in codes]


def field_words(kind: str, lang: Lang, facts: Mapping[str, object]) -> str:
    """Say what is wrong with one field."""
    text = FIELD_WORDS.get(kind, _FIELD_OTHER)[_place(lang)]
    return text.format_map(_Facts({name: str(value) for name, value in facts.items()}))


def _name(value: str | int, lang: Lang) -> str:
    if isinstance(value, int):
        return str(value)
    separator = "、" if lang is Lang.ZH else ", "
    return separator.join(_one_name(part, lang) for part in value.split(","))


def _one_name(value: str, lang: Lang) -> str:
    if value in NAMES:
        return NAMES[value][_place(lang)]
    if value in tuple(Code):
        return WORDS[Code(value)][lang].title
    return value


def _place(lang: Lang) -> int:
    return 0 if lang is Lang.ZH else 1


class _Facts(dict[str, str]):
    """Facts for a sentence; one that was not given is shown as an ellipsis, not as a crash."""

    def __missing__(self, key: str) -> str:
        return "…"
