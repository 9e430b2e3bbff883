"""A renter's way through the pages, from the label to the receipt."""

import pytest

from tests.acceptance.city import City
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
        desk.shows(window, "renting")
        window.presses("來這裡取", "Fetch it here")
        window.is_headed("正在來取", "On the way to fetch it")
        desk.shows(window, "returning")
        (job,) = shop.staff.jobs(rental_id)
        shop.staff.does(f"/staff/jobs/{job['id']}/accept")
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
