"""The operator's pages: the city live, what is stuck, and everything that is decided by hand."""

import itertools
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.acceptance.city import THERE, City
from tests.acceptance.system import OPERATOR
from tests.browser.browsing import DESKTOP, PHONE, Desk, Window
from tests.browser.test_merchant import fits
from tests.browser.test_quality import SCRIPTS, fails_once, violations

pytestmark = pytest.mark.browser
LETTERS = itertools.count(1)
PAGE_COOKIE = "lendwatt"
COOKIES: dict[str, list[Any]] = {}
BOTH = pytest.mark.parametrize("lang", ["zh", "en"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


def signs_in(window: Window, path: str) -> None:
    """As the operator, whose codes are capped by the hour: once, and then with the same cookie."""
    context = window.page.context
    if window.url not in COOKIES:
        window.opens("/sign-in?next=/me")
        window.signs_in(OPERATOR)
        kept = [cookie for cookie in context.cookies() if cookie["name"] == PAGE_COOKIE]
        COOKIES[window.url] = [{**cookie} for cookie in kept]
    context.add_cookies(COOKIES[window.url])
    window.opens(path)


def shows(desk: Desk, window: Window, name: str) -> None:
    """A page that is whole: it fits, and axe has nothing against it."""
    expect(window.page.locator("h1")).to_be_visible()
    desk.shows(window, f"operator-{name}")
    fits(window)
    assert violations(window.page) == [], name


def is_look(request: Request) -> bool:
    return request.url.endswith("/operator/now")


@pytest.mark.parametrize("how", ["busy", "lost"])
def test_a_part_that_could_not_be_looked_at_again_stays(desk: Desk, city: City, how: str) -> None:
    shop = city.shop()
    with desk.window("en", size=DESKTOP) as window:
        signs_in(window, "/operator")
        figure = window.page.locator("[data-figure=open] strong")
        before = int(figure.inner_text())
        failed: list[str] = []
        window.page.route("**/operator/now", lambda route: fails_once(route, how, failed))
        with window.page.expect_event(
            "requestfinished" if how == "busy" else "requestfailed", is_look
        ):
            window.page.evaluate("document.body.dispatchEvent(new CustomEvent('look'))")
        expect(figure).to_be_visible()
        city.rental(shop)
        expect(figure).not_to_have_text(str(before))
        window.wrong.clear()  # the browser noted the answer that failed


@BOTH
@SIZES
def test_the_city_is_live_on_a_map(desk: Desk, city: City, lang: str, size: dict[str, int]) -> None:
    shop = city.shop()
    city.rental(shop).start()
    moving = city.rental(shop, door=THERE)
    owner = city.person()
    with desk.window(lang, size=size) as window:
        signs_in(window, "/operator")
        page = window.page
        waiting = page.locator("[data-figure=to_approve] strong")
        before = int(waiting.inner_text())
        expect(dot(page, "shop")).to_be_visible()
        expect(dot(page, "door")).to_be_visible()
        expect(dot(page, "bank")).to_be_visible()
        expect(page.locator(".chart canvas").first).to_be_visible()
        city.merchant(owner)
        expect(waiting).to_have_text(str(before + 1))
        moving.take_along()
        shop.staff.does("/staff/position", {"lat": 31.2294, "lng": 121.4746})
        expect(dot(page, "staff")).to_be_visible()
        expect(page.locator("[data-figure=messages] strong")).not_to_have_text("—")
        shows(desk, window, "city")


def dot(page: Page, kind: str) -> Locator:
    """One of a kind on the map."""
    return page.locator(f".map .pin.{kind}").first


def agrees(window: Window) -> None:
    """To whatever the page asks before it acts."""
    window.page.on("dialog", lambda dialog: dialog.accept())


def dead_letter(city: City, payload: str) -> str:
    """A message as the gateway keeps it that it did not believe."""
    id_ = f"{next(LETTERS):064x}"
    city.platform.change(
        "INSERT INTO dead_letter (id, topic, payload, reason, detail, received_at_ms)"
        " VALUES (:id, :topic, :payload, 'bad_field', 'battery: must be at most 100', :at)",
        id=id_,
        topic="lw/v1/LW-000123/state",
        payload=payload.encode(),
        at=int(city.now().timestamp() * 1000),
    )
    return id_


@BOTH
@SIZES
def test_what_is_stuck_is_seen_to_and_its_whole_story_told(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    claimed = city.rental(shop).start()
    called_off = city.rental(shop)
    with desk.window(lang, size=size) as window:
        agrees(window)
        signs_in(window, "/operator/stuck")
        page = window.page
        claimed.renter.does(f"/rentals/{claimed.id}/claim-returned", {**THERE, "note": "架上"})
        item = page.locator(f"#stuck-return_claimed-{claimed.id}")
        expect(item).to_contain_text(claimed.bank.id)
        dead_letter(city, '{"battery": 101}')
        expect(page.locator("[data-kind=dead_letter]").first).to_be_visible()
        shows(desk, window, "stuck")
        item.locator("input").fill("商戶已確認")
        item.get_by_role(
            "button", name=window.t("已收回，結帳", "It is back: bill and close")
        ).click()
        expect(item).to_have_count(0)
        assert claimed.now()["state"] == "payment_due"
        window.opens("/operator/rentals")
        shows(desk, window, "rentals")
        page.select_option("#state", "payment_due")
        expect(page.locator(f"#rental-{claimed.id}")).to_be_visible()
        expect(page.locator(f"#rental-{called_off.id}")).to_have_count(0)
        page.locator(f"#rental-{claimed.id} a").click()
        window.is_headed("等待支付", "To be paid")
        expect(page.locator(".history").last).to_contain_text("商戶已確認")
        window.presses("退回一部分", "Take a part back")
        page.fill("#credit-amount", "1.00")
        page.fill("#credit-why", "啟動太慢")
        desk.shows(window, "operator-credit")
        page.locator("#credit .stack > button").click()
        expect(page.locator(".small-rows", has_text="啟動太慢")).to_contain_text("¥1.00")
        page.locator("summary.fold").click()
        shows(desk, window, "rental")
        window.opens(f"/operator/rentals/{called_off.id}")
        window.presses("取消訂單", "Call it off")
        page.fill("#cancel-why", "商戶停電")
        page.locator("#cancel .stack > button").click()
        window.is_headed("已取消", "Called off")
        assert called_off.now()["state"] == "cancelled"


@BOTH
@SIZES
def test_merchants_and_people_are_let_in_held_back_and_put_right(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    owner = city.person()
    merchant_id = city.merchant(owner)
    city.shop()
    with desk.window(lang, size=size) as window:
        agrees(window)
        signs_in(window, "/operator/merchants")
        page = window.page
        card = page.locator(f"#merchant-{merchant_id}")
        shows(desk, window, "merchants")
        card.get_by_role("button", name=window.t("批准", "Approve")).click()
        expect(card).to_have_count(0)
        row = page.locator(f"#row-{merchant_id} a")
        expect(row.or_(page.locator("a.no")).first).to_be_visible()
        while row.count() == 0:  # the newest are on the last page
            page.locator("a.no").click()
            page.wait_for_load_state()
        row.click()
        expect(page.locator("[data-status=approved]")).to_be_visible()
        window.presses("更正資料", "Put it right")
        page.fill("#c-commission", "800")
        page.fill("#correct-why", "合約")
        desk.shows(window, "operator-correct")
        page.locator("#correct .stack > button").click()
        expect(page.locator("[data-status]")).to_contain_text("8 %")
        shows(desk, window, "merchant")
        window.presses("暫停", "Suspend")
        page.fill("#suspend-why", "投訴")
        page.locator("#suspend .stack > button").click()
        expect(page.locator("[data-status=suspended]")).to_be_visible()
        window.opens("/operator/people")
        page.fill("#find", "12")
        window.presses("查找", "Find")
        expect(page.locator("#no-phone")).to_be_visible()
        page.fill("#find", owner.phone)
        window.presses("查找", "Find")
        person = page.locator(".person")
        expect(person).to_have_count(1)
        person.get_by_role("button", name=window.t("暫停", "Suspend")).click()
        person.locator("dialog[open] input[name=reason]").fill("投訴")
        person.locator("dialog[open] .stack > button").click()
        expect(person.locator(".badge")).to_have_text(window.t("已暫停", "Suspended"))
        shows(desk, window, "person")
        window.opens(f"/operator/audit?subject=person&subject_id={owner.id}")
        expect(page.locator(".change")).to_contain_text("投訴")
        window.opens("/operator/audit")
        shows(desk, window, "audit")


@BOTH
@SIZES
def test_banks_are_recalled_and_letters_dealt_with(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    city.rental(shop).start()
    first, second = dead_letter(city, '{"battery": 101}'), dead_letter(city, SCRIPTS[0] * 20)
    with desk.window(lang, size=size) as window:
        agrees(window)
        signs_in(window, f"/operator/banks?merchant_id={shop.id}")
        page = window.page
        expect(page.locator(".device")).to_have_count(2)
        shows(desk, window, "banks")
        window.opens(f"/operator/banks?bank={bank.id}")
        window.presses("召回", "Recall")
        page.fill("#recall-why", "電芯鼓包")
        desk.shows(window, "operator-recall")
        page.locator("#recall .stack > button").click()
        expect(page.locator(".device .badge.bad")).to_have_text(window.t("已召回", "Recalled"))
        assert not city.offer(bank)["rentable"]
        window.presses("結束召回", "End its recall")
        page.locator("dialog[open] input[name=reason]").fill("已更換電芯")
        page.locator("dialog[open] .stack > button").click()
        expect(page.locator(".device .badge.fair")).to_be_visible()
        window.opens("/operator/letters")
        shows(desk, window, "letters")
        assert page.evaluate("window.hit") is None
        replayed = page.locator(f"#letter-{first}")
        aside = page.locator(f"#letter-{second}")
        aside.get_by_role("button", name=window.t("擱置", "Put it aside")).click()
        expect(aside).to_have_count(0)
        replayed.get_by_role("button", name=window.t("重新處理", "Take it in again")).click()
        expect(page.locator("#note")).to_be_visible()
        window.opens("/operator/letters?closed=true")
        expect(aside).to_be_visible()


@BOTH
@SIZES
def test_a_dispute_is_decided_and_the_books_are_shown(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    rental = city.rental(shop).start().complete()
    body = {"disputed_minor": 100, "reason": "二十分鐘後就沒電了"}
    dispute = rental.renter.does(f"/rentals/{rental.id}/disputes", body)
    with desk.window(lang, size=size) as window:
        agrees(window)
        signs_in(window, "/operator/money")
        page = window.page
        card = page.locator(f"#dispute-{dispute['id']}")
        expect(card).to_contain_text("¥1.00")
        shows(desk, window, "money")
        card.get_by_role("button", name=window.t("裁定", "Decide")).first.click()
        page.fill(f"#granted-{dispute['id']}", "2.00")
        page.fill(f"#decide-why-{dispute['id']}", "記錄顯示確實如此")
        card.locator("dialog[open] .stack > button").click()
        expect(card.locator(".problem")).to_be_visible()
        page.fill(f"#granted-{dispute['id']}", "0.50")
        desk.shows(window, "operator-decide")
        card.locator("dialog[open] .stack > button").click()
        expect(card).to_have_count(0)
        for part in ("payments", "withdrawals", "breaks"):
            window.opens(f"/operator/money?of={part}")
            shows(desk, window, f"money-{part}")


def test_who_is_no_operator_is_told_so(desk: Desk, city: City) -> None:
    with desk.window("en") as window:
        window.opens("/sign-in?next=/operator")
        window.signs_in(city.person().phone)
        expect(window.page.locator(".faces a[href='/operator']")).to_have_count(0)
        window.is_headed("", "You may not do this")


def test_in_the_dark_the_pages_are_as_good(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop).start()
    city.merchant(city.person())
    dead_letter(city, '{"battery": 101}')
    with desk.window("zh", size=PHONE, color_scheme="dark") as window:
        for name, path in {
            "city": "",
            "stuck": "/stuck",
            "rental": f"/rentals/{rental.id}",
            "merchants": "/merchants",
            "people": "/people",
            "money": "/money?of=payments",
            "audit": "/audit",
        }.items():
            signs_in(window, f"/operator{path}")
            shows(desk, window, f"dark-{name}")
