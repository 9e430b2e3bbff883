"""A renter's way through the pages, from the label to the receipt."""

import pytest
from playwright.sync_api import expect

from tests.acceptance.city import City, moment
from tests.browser.browsing import DESKTOP, PHONE, Desk, Window

pytestmark = pytest.mark.browser
BOTH = pytest.mark.parametrize("lang", ["zh", "en"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


def asks(window: Window, label: str, phone: str) -> str:
    """From the label to the request, by hand; the rental's id."""
    page = window.opens(label)
    window.presses("租用這個充電寶", "Rent this bank")
    window.signs_in(phone)
    page.wait_for_selector(".leaflet-container")
    page.fill("[name=address]", "人民大道 1 號 5 樓")
    window.presses("租用這個充電寶", "Rent this bank")
    expect(page.locator("form .problem")).to_contain_text(window.t("請先說您在哪裡", "Say where"))
    page.locator("[data-map=pick]").click()
    window.presses("租用這個充電寶", "Rent this bank")
    page.wait_for_url("**/rentals/*")
    return page.url.rpartition("/")[2]


@BOTH
@SIZES
def test_a_rental_from_the_label_to_the_receipt(desk: Desk, city: City, lang: str, size) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    renter = city.person()
    with desk.window(lang, size=size) as window:
        page = window.opens(bank.label)
        desk.shows(window, "bank")
        rental_id = asks(window, bank.label, renter.phone)
        window.is_headed("正在找人派送", "Looking for somebody to bring it")
        desk.shows(window, "requested")
        (job,) = shop.staff.jobs(rental_id)
        shop.staff.does(f"/staff/jobs/{job['id']}/accept")
        window.is_headed("已接單，準備出發", "Accepted, about to set out")
        shop.staff.does("/staff/position", {"lat": 31.2304, "lng": 121.4737})
        shop.staff.does(f"/staff/jobs/{job['id']}/set-out", {"qr_token": bank.token})
        window.is_headed("正在送來", "On its way to you")
        desk.shows(window, "delivering")
        code = page.inner_text(".code strong")
        shop.staff.does(f"/staff/jobs/{job['id']}/hand-over", {"code": code})
        window.is_headed("已送到，掃碼充電", "It is here: scan to charge")
        desk.shows(window, "delivered")
        page.fill("#label", bank.label)
        window.presses("下一步：押金", "Next: the deposit")
        window.is_headed("等待支付押金", "The deposit is next")
        desk.shows(window, "deposit")
        page.check("[name=accepted_disclosure]")
        window.presses("凍結押金並開始充電", "Have the deposit held, and charge")
        pays(window)
        window.is_headed("正在充電", "Charging")
        expect(page.locator("[data-refresh]")).to_contain_text("Wh")
        desk.shows(window, "renting")
        window.presses("來這裡取", "Fetch it here")
        window.is_headed("等待取回", "Waiting to be fetched")
        (job,) = shop.staff.jobs(rental_id)
        shop.staff.does(f"/staff/jobs/{job['id']}/accept")
        window.is_headed("正在來取", "Somebody comes to fetch it")
        desk.shows(window, "returning")
        shop.staff.does(f"/staff/jobs/{job['id']}/collect", {"qr_token": bank.token})
        window.is_headed("等待支付", "To be paid")
        desk.shows(window, "bill")
        page.click(".pay button")
        pays(window)
        window.is_headed("已完成，謝謝", "Done, thank you")
        desk.shows(window, "receipt")
        window.opens("/rentals")
        desk.shows(window, "rentals")


def pays(window: Window) -> None:
    """On the provider's page."""
    window.page.wait_for_selector("button[value=pay]")
    window.page.click("button[value=pay]")
    window.page.click("a.yes")
    window.page.wait_for_url("**/rentals/*")


def test_a_label_before_the_camera_starts_the_charge(desk: Desk, city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    rental = city.rental(shop, bank).bring()
    desk.holds_before_the_camera(bank.label)
    with desk.window("en", permissions=["camera"]) as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.presses("打開相機掃碼", "Scan with the camera")
        window.is_headed("等待支付押金", "The deposit is next")


def test_whoever_has_a_bank_and_scans_it_comes_to_their_rental(desk: Desk, city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    rental = city.rental(shop, bank).bring()
    with desk.window("en") as window:
        window.opens("/sign-in")
        window.signs_in(rental.renter.phone)
        window.opens(bank.label)
        window.is_headed("已送到，掃碼充電", "It is here: scan to charge")
        window.presses("下一步：押金", "Next: the deposit")
        window.is_headed("等待支付押金", "The deposit is next")


@BOTH
def test_calling_off_shows_its_fee_first(desk: Desk, city: City, lang: str) -> None:
    shop = city.shop(cancel_delivering_minor=300)
    rental = city.rental(shop, city.bank(shop)).take_along()
    with desk.window(lang) as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.presses("取消", "Call it off")
        dialog = window.page.locator("dialog[open]")
        expect(dialog).to_contain_text("¥3.00")
        desk.shows(window, "cancel")
        dialog.locator("button.bad").click()
        window.is_headed("等待支付", "To be paid")
        expect(window.page.locator(".total")).to_contain_text("¥3.00")


def test_said_to_be_back_already_the_meter_stops(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop, city.bank(shop)).start()
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.presses("", "I already returned it")
        window.page.fill("#claim-note", "given to the lady at the counter")
        desk.shows(window, "claim")
        window.presses("", "Stop billing")
        window.is_headed("", "You said that it is back")
        window.sees("", "its merchant goes and looks")
        assert rental.now()["claimed_returned_at"] is not None


@BOTH
def test_a_part_of_a_bill_is_disputed_and_taken_back(desk: Desk, city: City, lang: str) -> None:
    shop = city.shop()
    rental = city.rental(shop, city.bank(shop)).start().complete()
    with desk.window(lang) as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.presses("對帳單有異議", "Something is wrong with the bill")
        window.page.fill("#disputed", "1.00")
        window.page.fill("#why", "二十分鐘後就沒電了")
        window.presses("提交", "Send")
        dispute = window.page.locator(".dispute")
        expect(dispute).to_contain_text("¥1.00")
        desk.shows(window, "dispute")
        window.presses("撤回", "Take it back")
        expect(dispute).to_contain_text(window.t("已撤回", "Taken back"))
        credit = {"amount_minor": 200, "reason": "大雨"}
        city.operator.does(f"/operator/rentals/{rental.id}/credit", credit)
        bill = window.page.locator(".receipt .bill")
        expect(bill).to_contain_text("大雨")
        left = rental.now()["amount_minor"] - 200
        expect(bill.locator(".total")).to_contain_text(f"¥{left / 100:.2f}")


@BOTH
def test_called_off_by_the_platform_its_renter_reads_why(desk: Desk, city: City, lang: str) -> None:
    rental = city.rental(city.shop())
    with desk.window(lang) as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        reason = {"reason": "道路封閉 <b>"}
        city.operator.does(f"/operator/rentals/{rental.id}/cancel", reason)
        window.is_headed("已取消", "Called off")
        expect(window.page.locator(".rental .reasons")).to_contain_text("道路封閉 <b>")
        desk.shows(window, "called-off")


@BOTH
def test_an_unpaid_bill_is_taken_from_the_deposit_and_the_rest_is_free(
    desk: Desk, city: City, lang: str
) -> None:
    rental = city.rental(city.shop()).start()
    rental.ask_return()
    rental.collect()
    bill = rental.reaches("payment_due")
    city.turn_past(moment(bill, "payment_due_by"))
    rental.reaches("completed")
    with desk.window(lang) as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.sees("已從押金扣款", "It was paid out of your deposit")
        taken = f"¥{bill['amount_minor'] / 100:.2f}"
        said = window.t(f"扣款 {taken}，其餘已解凍", f"taken: {taken}; the rest is free again")
        window.sees(said, said)
        desk.shows(window, "paid-by-deposit")


def test_signed_out_nothing_is_shown_any_more(desk: Desk, city: City) -> None:
    with desk.window("en") as window:
        window.opens("/me")
        window.signs_in(city.person().phone)
        window.is_headed("", "Me")
        window.presses("", "Sign out")
        window.page.wait_for_url(f"{window.url}/")
        window.opens("/rentals")
        window.is_headed("", "Sign in")


@BOTH
def test_a_wrong_phone_and_a_wrong_code_are_said_and_kept(desk: Desk, lang: str) -> None:
    with desk.window(lang) as window:
        page = window.opens("/sign-in")
        page.fill("#phone", "12")
        page.click("form[action='/sign-in/code'] button")
        expect(page.locator("#phone-problem")).to_be_visible()
        expect(page.locator("#phone")).to_have_value("12")
        desk.shows(window, "sign-in-wrong")
        page.fill("#phone", "+86 139 1111 2222")
        page.click("form[action='/sign-in/code'] button")
        told = page.inner_text("#demo-code")
        page.fill("#code", "000000" if told != "000000" else "111111")
        page.click("form[action='/sign-in'] button")
        expect(page.locator("#code-problem")).to_be_visible()
        desk.shows(window, "code-wrong")
        page.fill("#code", told)
        page.click("form[action='/sign-in'] button")
        page.wait_for_url("**/rentals")
