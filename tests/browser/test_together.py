"""Two browsers at once: a renter and a member of staff see each other's steps as they happen."""

import re

import pytest
from playwright.sync_api import expect

from tests.acceptance.city import City
from tests.browser.browsing import DESKTOP, PHONE, Desk
from tests.browser.test_renter import asks, pays

pytestmark = pytest.mark.browser
HERE = {"latitude": 31.2304, "longitude": 121.4737}


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_renter_and_staff_see_each_others_steps(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    permitted = {"permissions": ["geolocation"], "geolocation": HERE}
    with desk.window(lang) as renter, desk.window(lang, size=size, **permitted) as staff:
        staff.opens("/staff")
        staff.signs_in(shop.staff.phone)
        staff.is_headed("派送", "Jobs")
        desk.shows(staff, "staff-idle")
        rental_id = asks(renter, bank.label, city.person().phone)
        staff.sees("有新的單", "You are asked")
        desk.shows(staff, "staff-asked")
        staff.presses("接單", "Take it")
        staff.is_headed("取充電寶", "Pick up the power bank")
        renter.is_headed("已接單，準備出發", "Accepted, about to set out")
        desk.shows(staff, "staff-pick-up")
        staff.page.fill("#set-out-label", bank.label)
        staff.presses("出發", "Set out")
        staff.is_headed("送給租用人", "Bring it to the renter")
        renter.is_headed("正在送來", "On its way to you")
        desk.shows(staff, "staff-deliver")
        renter.presses("催單", "Urge")
        expect(staff.page.locator(".job")).to_contain_text(staff.t("催單", "Urged"))
        staff.page.fill("#code", renter.page.inner_text(".code strong"))
        staff.page.click("#by-code button")
        renter.is_headed("已送到，掃碼充電", "It is here: scan to charge")
        renter.page.fill("#label", bank.label)
        renter.presses("下一步：押金", "Next: the deposit")
        renter.page.check("[name=accepted_disclosure]")
        renter.presses("凍結押金並開始充電", "Have the deposit held, and charge")
        pays(renter)
        renter.is_headed("正在充電", "Charging")
        staff.opens("/staff")
        renter.presses("來這裡取", "Fetch it here")
        staff.sees("有新的單", "You are asked")
        staff.presses("接單", "Take it")
        staff.is_headed("向租用人取回", "Fetch it from the renter")
        desk.shows(staff, "staff-fetch")
        staff.page.fill("#collect-label", bank.label)
        staff.presses("已取回", "I have it")
        renter.is_headed("等待支付", "To be paid")
        staff.is_headed("送回商戶", "Bring it home")
        desk.shows(staff, "staff-home")
        staff.page.fill("#check-in-label", bank.label)
        staff.presses("已送回", "It is home")
        staff.page.wait_for_url("**/staff")
        assert city.offer(bank)["rentable"]
    assert rental_id


def test_who_is_on_the_way_is_seen_on_the_renters_map(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    (job,) = shop.staff.jobs(rental.id)
    permitted = {"permissions": ["geolocation"], "geolocation": HERE}
    with desk.window() as renter, desk.window(**permitted) as staff:
        renter.opens(f"/sign-in?next=/rentals/{rental.id}")
        renter.signs_in(rental.renter.phone)
        staff.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        staff.signs_in(shop.staff.phone)
        with staff.page.expect_response("**/staff/position"):
            staff.presses("", "Take it")
        staff.page.fill("#set-out-label", rental.bank.label)
        staff.presses("", "Set out")
        code = renter.page.locator(".code strong")
        before = code.inner_text()
        renter.presses("", "A new one")
        expect(code).not_to_have_text(before)
        expect(renter.page.locator("#way")).to_have_attribute("data-points", re.compile('"staff"'))
