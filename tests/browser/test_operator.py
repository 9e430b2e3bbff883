"""The operator's pages: the city live, what is stuck, and everything that is decided by hand."""

import pytest
from playwright.sync_api import expect

from tests.acceptance.city import City
from tests.acceptance.system import OPERATOR
from tests.browser.browsing import DESKTOP, PHONE, Desk, Window
from tests.browser.test_merchant import fits
from tests.browser.test_quality import violations

pytestmark = pytest.mark.browser
BOTH = pytest.mark.parametrize("lang", ["zh", "en"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


def signs_in(window: Window, path: str) -> None:
    window.opens(f"/sign-in?next={path}")
    window.signs_in(OPERATOR)


def shows(desk: Desk, window: Window, name: str) -> None:
    """A page that is whole: it fits, and axe has nothing against it."""
    expect(window.page.locator("h1")).to_be_visible()
    desk.shows(window, f"operator-{name}")
    fits(window)
    assert violations(window.page) == [], name


@BOTH
@SIZES
def test_the_city_is_live_on_a_map(desk: Desk, city: City, lang: str, size: dict[str, int]) -> None:
    shop = city.shop()
    city.rental(shop).start()
    moving = city.rental(shop)
    owner = city.person()
    with desk.window(lang, size=size) as window:
        signs_in(window, "/operator")
        page = window.page
        waiting = page.locator("[data-figure=to_approve] strong")
        before = int(waiting.inner_text())
        expect(page.locator(".pin.shop").first).to_be_visible()
        expect(page.locator(".pin.door").first).to_be_visible()
        expect(page.locator(".pin.bank").first).to_be_visible()
        expect(page.locator(".chart canvas").first).to_be_visible()
        city.merchant(owner)
        expect(waiting).to_have_text(str(before + 1))
        moving.take_along()
        shop.staff.does("/staff/position", {"lat": 31.2330, "lng": 121.4790})
        expect(page.locator(".pin.staff").first).to_be_visible()
        expect(page.locator("[data-figure=messages] strong")).not_to_have_text("—")
        shows(desk, window, "city")
