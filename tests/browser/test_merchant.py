"""A merchant's pages: from registering to the day's work, the banks, the price and the money."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.city import HERE, SHOP, THERE, City, Person, Shop, away
from tests.acceptance.processes import until
from tests.browser.browsing import DESKTOP, PHONE, Desk, Window
from tests.browser.test_quality import SCRIPTS, violations
from tests.fakes.receiver import listening

pytestmark = pytest.mark.browser
INSIDE = """() => [...document.querySelectorAll(".card")].every((card) =>
  card.scrollWidth <= card.clientWidth)"""
"""Nothing sticks out of its card."""
BOTH = pytest.mark.parametrize("lang", ["zh", "en"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


def signs_in(window: Window, person: Person, path: str) -> None:
    window.opens(f"/sign-in?next={path}")
    window.signs_in(person.phone)


def fits(window: Window) -> None:
    """Nothing is wider than the window, nor than its card."""
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.page.evaluate(INSIDE)


@BOTH
@SIZES
def test_a_days_work_is_listed_by_state_and_live(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    home = f"/merchant/{shop.id}"
    running = city.rental(shop).start()
    claimed = city.rental(shop).start()
    fetched = city.rental(shop).start()
    city.rental(shop).start().complete()
    city.rental(shop)
    fetched.ask_return()
    with desk.window(lang, size=size) as window:
        signs_in(window, shop.owner, "/merchant")
        page = window.page
        expect(page.locator("[data-count=to_fulfil] strong")).to_have_text("1")
        expect(page.locator(f"#order-{running.id}")).to_contain_text(running.bank.id)
        expect(page.locator("[data-list=to_collect]")).to_have_count(1)
        claimed.renter.does(f"/rentals/{claimed.id}/claim-returned", {**THERE, "note": "架上"})
        card = page.locator(f"#order-{claimed.id}")
        expect(card).to_have_attribute("data-list", "to_collect")
        desk.shows(window, "merchant-work")
        fits(window)
        scan_it = window.t("掃碼確認收到", "It is here: scan it")
        card.get_by_role("link", name=scan_it).click()
        window.is_headed("有新的單", "You are asked")  # a collection is the owner's, too
        window.opens(home)
        card.get_by_role("button", name=window.t("提醒服務人員", "Remind staff")).click()
        expect(page.locator("#note")).to_be_visible()
        card.get_by_role("button", name=window.t("沒有收到", "It is not here")).click()
        page.fill(f"#deny-{claimed.id}-why", "貨架上沒有")
        desk.shows(window, "merchant-deny")
        page.locator(f"#deny-{claimed.id} .stack button").click()
        expect(card).to_have_attribute("data-list", "in_progress")
        assert claimed.now()["state"] == "renting"
        claimed.renter.does(f"/rentals/{claimed.id}/claim-returned", {**THERE, "note": "架上"})
        expect(card.get_by_role("link", name=scan_it)).to_be_visible()
        claimed.staff_does("collection", "accept")  # now it is theirs
        expect(card).to_contain_text(window.t("已有服務人員接單取回", "Staff have taken the job"))
        expect(card.get_by_role("link", name=scan_it)).to_have_count(0)
        window.opens(f"{home}?list=completed")
        expect(page.locator("[data-list=completed]")).to_have_count(1)
        desk.shows(window, "merchant-completed")
        window.opens(f"{home}/rentals/{running.id}")
        window.is_headed("租借中", "Rented")
        desk.shows(window, "merchant-rental")
        fits(window)


@BOTH
@SIZES
def test_banks_are_reported_and_imported(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    home = f"/merchant/{shop.id}/banks"
    city.rental(shop).start()
    city.bank(shop, battery=64)
    with desk.window(lang, size=size) as window:
        signs_in(window, shop.owner, home)
        page = window.page
        expect(page.locator("[data-total=all] dd")).to_have_text("2")
        expect(page.locator("[data-total=rented] dd")).to_have_text("1")
        window.presses("登記一個", "Report one")
        new = city.new_bank_id()
        page.fill("#bank-id", new)
        page.fill("#model", "LW-10K-A")
        page.locator("#add .stack > button").click()
        expect(page.locator("#add [data-slot=secret]")).not_to_be_empty()
        desk.shows(window, "merchant-secret")
        page.locator("#add [data-closes]").click()
        expect(page.locator(f"#bank-{new}")).to_be_visible()
        window.presses("批量導入", "From a file")
        rows = f"bank_id,model,batch\n{city.new_bank_id()},LW-10K-A,2026-W40\nbad id,LW-10K-A,\n"
        page.fill("#rows", rows)
        page.locator("#import .stack > button").dblclick()
        expect(page.locator("[data-outcome=registered]")).to_have_count(1)
        expect(page.locator("#import a[download]")).to_be_visible()
        page.locator("#import .stack > button").click()
        expect(page.locator("[data-outcome=known]")).to_have_count(1)
        expect(page.locator("#import a[download]")).to_be_visible()
        expect(page.locator("[data-outcome=refused] .error").first).to_be_visible()
        desk.shows(window, "merchant-import")
        page.locator("#import [data-closes]").click()
        expect(page.locator("[data-total=all] dd")).to_have_text("4")
        desk.shows(window, "merchant-banks")
        fits(window)


@BOTH
@SIZES
def test_a_bank_is_looked_at_held_back_and_lost(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    # Far from the others' renters, whose late deliveries pass on to banks that are near.
    shop = city.shop(at=away(40_000, SHOP))
    home = f"/merchant/{shop.id}/banks"
    out = city.rental(shop, door=away(40_000, HERE)).start()
    bank = city.bank(shop, battery=64)
    for _ in range(3):
        city.turn(timedelta(minutes=20), heard=[bank])
    with desk.window(lang, size=size) as window:
        signs_in(window, shop.owner, home)
        page = window.page
        page.locator(f"#bank-{bank.id} a").click()
        window.is_headed(bank.id, bank.id)
        expect(page.locator(".chart canvas")).to_be_visible()
        desk.shows(window, "merchant-bank")
        fits(window)
        window.presses("暫停出租", "Hold it back")
        expect(page.locator("[data-why=not_offered]")).to_be_visible()
        desk.shows(window, "merchant-bank-held")
        window.presses("開始出租", "Put it up for rent")
        expect(page.locator("[data-why]")).to_have_count(0)
        window.presses("更換密鑰", "New secret")
        page.locator("#secret .stack > button").click()
        expect(page.locator("#secret [data-slot=secret]")).not_to_be_empty()
        page.locator("#secret [data-closes]").click()
        window.presses("遺失了", "It is lost")
        page.fill("#lost-why", "清點時不見了")
        page.locator("#lost .stack button").click()
        expect(page.locator("[data-holder=lost]")).to_be_visible()
        desk.shows(window, "merchant-bank-lost")
        window.presses("找到了", "It turned up")
        page.fill("#found-why", "路人送回來的")
        page.locator("#found .stack button").click()
        window.presses("已檢查，完好", "Looked over: it is sound")
        expect(page.locator(".bank .badge.good")).to_be_visible()
        window.opens(f"{home}/{out.bank.id}")
        expect(page.locator("[data-holder=renter]")).to_be_visible()


@BOTH
@SIZES
def test_a_new_merchant_registers_and_sets_a_price(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    owner = city.person()
    with desk.window(lang, size=size) as window:
        signs_in(window, owner, "/merchant")
        page = window.page
        window.is_headed("成為商戶", "Become a merchant")
        page.wait_for_selector(".leaflet-container")
        page.fill("#name", "小店 <b>一號</b>")
        page.fill("[name=address]", "人民大道 200 號")
        window.presses("登記", "Register")
        expect(page.locator(".problem")).to_be_visible()
        page.click(".leaflet-container")
        desk.shows(window, "merchant-register")
        window.presses("登記", "Register")
        window.is_headed("訂單", "Orders")
        desk.shows(window, "merchant-begin")
        merchant_id = page.url.rpartition("/")[2]
        window.presses("價格", "Price")
        expect(page.locator(".quotes li").first).to_be_visible()
        page.fill("#cap_24h_minor", "0.10")
        expect(page.locator("#preview .problem")).to_be_visible()
        expect(page.locator("#cap_24h_minor")).to_have_attribute("aria-invalid", "true")
        desk.shows(window, "merchant-tariff-wrong")
        page.check("[name=market][value=beijing]")
        page.click("[data-fill]")
        expect(page.locator(".quotes li").first).to_be_visible()
        window.presses("讓新價格生效", "Put it in force")
        expect(page.locator(".versions li").first).to_contain_text(window.t("第 1 版", "Version 1"))
        desk.shows(window, "merchant-tariff")
        fits(window)
        city.operator.does(f"/operator/merchants/{merchant_id}/approve", {"reason": "papers seen"})
        expect(page.locator(".whose .badge")).to_have_count(0)


@BOTH
@SIZES
def test_a_merchant_hires_and_says_when_it_is_open(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    owner, hand = city.person(), city.person()
    merchant_id = city.merchant(owner)
    city.operator.does(f"/operator/merchants/{merchant_id}/approve", {"reason": "papers seen"})
    with desk.window(lang, size=size) as window:
        signs_in(window, owner, f"/merchant/{merchant_id}/staff")
        page = window.page
        desk.shows(window, "merchant-staff-none")
        window.presses("添加人員", "Add somebody")
        page.fill("#staff-name", "小王")
        at_home = hand.phone.removeprefix("+86")  # as it is written there
        page.fill("#staff-phone", f"{at_home[:3]} {at_home[3:7]} {at_home[7:]}")
        page.locator("#hire .stack button").click()
        expect(page.locator(".worker")).to_have_count(1)
        hand.does("/staff/shifts", {"merchant_id": merchant_id})
        window.opens(f"/merchant/{merchant_id}/staff")
        expect(page.locator(".worker .badge.good")).to_be_visible()
        desk.shows(window, "merchant-staff")
        window.presses("設定", "Settings")
        page.wait_for_selector(".leaflet-container")
        page.select_option("#hours-kind", "week")
        page.locator("[data-day=sun] [data-no-span]").click()
        page.locator("[data-day=fri] [data-closes-at]").fill("02:00")
        window.presses("保存營業時間", "Keep these hours")
        expect(page.locator("#note")).to_be_visible()
        hours = owner.sees(f"/merchants/{merchant_id}")["hours"]
        assert (hours["fri"], "sun" in hours) == ([["09:00", "02:00"]], False)
        window.presses("暫停營業", "Close for now")
        window.presses("恢復營業", "Open again")
        expect(
            page.get_by_role("button", name=window.t("暫停營業", "Close for now"))
        ).to_be_visible()
        assert owner.sees(f"/merchants/{merchant_id}")["is_open"]
        window.presses("添加地址", "Add an address")
        page.fill("#url", "http://127.0.0.1:9/hook")
        page.locator("#hook .stack > button").click()
        expect(page.locator("#hook [data-slot=secret]")).not_to_be_empty()
        page.locator("#hook [data-closes]").click()
        expect(page.locator(".hook")).to_have_count(1)
        window.presses("試發一條", "Send a trial")
        expect(page.locator(".hook tbody tr")).to_have_count(1)
        desk.shows(window, "merchant-settings")
        fits(window)
        page.on("dialog", lambda asked: asked.accept())
        window.presses("停用", "End it")
        expect(page.locator(".hook")).to_have_count(0)
        window.presses("人員", "Staff")
        window.presses("離職", "Let go")
        expect(page.locator(".worker")).to_have_count(0)
        window.presses("自己上班", "Go on shift")
        expect(page.locator(".shift .badge.good")).to_be_visible()
        window.presses("下班", "Go off shift")
        expect(page.locator(".shift .badge.still")).to_be_visible()


@BOTH
def test_a_bank_that_came_back_without_a_scan_is_received(
    desk: Desk, city: City, lang: str
) -> None:
    shop = city.shop()
    rental = city.rental(shop).take_along()
    rental.renter.does(f"/rentals/{rental.id}/cancel", {"fee_minor": 0})
    with desk.window(lang) as window:
        signs_in(window, shop.owner, f"/merchant/{shop.id}/banks/{rental.bank.id}")
        page = window.page
        expect(page.locator("[data-holder=staff]")).to_be_visible()
        window.presses("已收回", "I have it back")
        page.fill("#receive-why", "在店裡清點")
        page.locator("#receive .stack button").click()
        expect(page.locator("[data-holder=merchant]")).to_be_visible()
        with page.expect_popup() as opened:
            window.presses("打印標籤", "Print its label")
        expect(opened.value.locator("svg").first).to_contain_text(rental.bank.id)


def test_who_has_two_merchants_chooses_and_prints_a_sheet_of_labels(desk: Desk, city: City) -> None:
    first = city.shop()
    second = city.shop(first.owner)
    banks = [second.report(city.new_bank_id()) for _ in range(2)]
    with desk.window("en") as window:
        signs_in(window, first.owner, "/merchant")
        page = window.page
        window.is_headed("", "My merchants")
        desk.shows(window, "merchant-choose")
        page.locator(f"a[href='/merchant/{second.id}']").click()
        window.presses("", "Power banks")
        window.presses("", "Labels")
        with page.expect_popup() as opened:
            page.locator("#labels .sheets a").click()
        for bank in banks:
            expect(opened.value.locator("svg").first).to_contain_text(bank.id)


@BOTH
@SIZES
def test_what_was_earned_is_told_disputed_and_withdrawn(
    desk: Desk, city: City, lang: str, size: dict[str, int]
) -> None:
    shop = city.shop()
    settled(city, shop)
    disputed = city.rental(shop).start().complete()
    disputed.renter.does(
        f"/rentals/{disputed.id}/disputes", {"disputed_minor": 200, "reason": "it was slow"}
    )
    with desk.window(lang, size=size) as window:
        signs_in(window, shop.owner, f"/merchant/{shop.id}/money")
        page = window.page
        window.presses("填寫收款帳號", "Say where it goes")
        page.fill("#account-id", "sandbox:aming")
        page.locator("#account .stack button").click()
        window.presses("提現", "Withdraw")
        page.fill("#amount", "99999")
        page.locator("#withdraw .stack button").click()
        expect(page.locator("#withdraw .problem")).to_be_visible()
        desk.shows(window, "merchant-withdraw")
        page.fill("#amount", "3.00")
        page.locator("#withdraw .stack button").click()
        until(lambda: newest_withdrawal(shop) == "paid", what="it is paid")
        expect(page.locator("#withdrawals + ul .badge.good")).to_be_visible()
        desk.shows(window, "merchant-money")
        fits(window)
        page.on("dialog", lambda asked: asked.accept())
        window.presses("同意退回", "They are right: give it back")
        expect(page.locator("[id^=dispute-] .badge.still")).to_be_visible()
        window.presses("待結算", "Pending")
        desk.shows(window, "merchant-ledger")
        window.presses("評分", "Score")
        expect(page.locator(".part")).to_have_count(2)
        desk.shows(window, "merchant-score")


def newest_withdrawal(shop: Shop) -> str | None:
    """The state of the newest, as the API tells it."""
    items = shop.owner.sees(f"/merchants/{shop.id}/withdrawals")["items"]
    return str(items[0]["state"]) if items else None


def settled(city: City, shop: Shop) -> None:
    """Let the merchant earn something, and let the time go by in which it can be disputed."""
    city.rental(shop).start().complete()
    city.turn(timedelta(days=7, minutes=1))
    until(lambda: shop.settlement()["withdrawable_minor"], what="it is the merchant's own")


@BOTH
def test_an_address_that_was_given_up_is_told(desk: Desk, city: City, lang: str) -> None:
    shop = city.shop()
    with listening() as receiver, desk.window(lang) as window:
        receiver.status = 410
        shop.owner.does(f"/merchants/{shop.id}/webhooks", {"url": receiver.url})
        signs_in(window, shop.owner, f"/merchant/{shop.id}/settings")
        window.presses("試發一條", "Send a trial")
        expect(window.page.locator(".hook .badge")).to_have_text(window.t("已放棄", "Given up"))
        expect(window.page.locator(".hook .acts")).to_have_count(0)


SECTIONS = ("", "/banks", "/tariff", "/money", "/money?of=pending", "/staff", "/score", "/settings")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_merchants_pages_are_accessible_and_inert(
    desk: Desk, city: City, lang: str, size: dict[str, int], scheme: Any
) -> None:
    shop = city.shop()
    home = f"/merchant/{shop.id}"
    done = city.rental(shop).start().complete()
    complaint = {"disputed_minor": 100, "reason": " ".join(SCRIPTS)}
    done.renter.does(f"/rentals/{done.id}/disputes", complaint)
    shop.owner.does(f"/merchants/{shop.id}", {"name": SCRIPTS[1]})
    running = city.rental(shop, door={**THERE, "address": " ".join(SCRIPTS)}).start()
    owner = city.person()
    with desk.window(lang, size=size, color_scheme=scheme) as window:
        signs_in(window, shop.owner, home)
        paths = [f"{home}{section}" for section in SECTIONS]
        paths += [f"{home}/rentals/{running.id}", f"{home}/banks/{running.bank.id}"]
        paths += [f"{home}/rentals/{done.id}", f"{home}?list=completed", "/merchant/new"]
        for path in paths:
            page = window.opens(path)
            expect(page.locator("h1")).to_be_visible()
            assert violations(page) == [], path
            fits(window)
            assert page.evaluate("window.hit") is None, path
        window.opens(f"{home}/banks")
        desk.shows(window, f"merchant-banks-{scheme}")
        for opener in ("add", "import", "labels"):
            window.page.click(f"[data-opens={opener}]")
            expect(window.page.locator(f"#{opener}")).to_be_visible()
            assert violations(window.page) == [], opener
            window.page.click(f"#{opener} [data-closes]")
        window.opens(f"{home}/banks/{running.bank.id}")
        expect(window.page.locator(".chart canvas")).to_be_visible()
        desk.shows(window, f"merchant-bank-{scheme}")
    with desk.window(lang, size=size, color_scheme=scheme) as window:
        signs_in(window, owner, "/merchant")
        window.is_headed("成為商戶", "Become a merchant")
        assert violations(window.page) == []
