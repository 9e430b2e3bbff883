"""What holds on every page: accessible, light, inert to what people write, and it catches up."""

import gzip
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.acceptance.city import SHOP, City, Rental
from tests.acceptance.processes import until
from tests.browser.browsing import DESKTOP, PHONE, Desk, Window
from tests.browser.test_renter import asks
from tests.browser.wire import wired

pytestmark = pytest.mark.browser
AXE: Final = (Path(__file__).parents[1] / "vendor" / "axe.js").read_text()
SCRIPTS: Final = (
    "<script>window.hit=1</script>",
    '"><img src=x onerror=window.hit=1>',
    "'); window.hit=1; ('",
    "{{ 7 * 7 }}",
    "</title><svg/onload=window.hit=1>",
    "javascript:window.hit=1",
)
LIGHT_BYTES: Final = 250_000
TABS_MAX: Final = 40


def violations(page: Page) -> list[str]:
    """What axe has against a page, in WCAG 2.2 AA and its best practices."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_renters_and_staffs_pages_are_accessible(
    desk: Desk, city: City, lang: str, size: dict[str, int], scheme: Any
) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    with desk.window(lang, size=size, color_scheme=scheme) as window:

        def is_good(name: str, path: str) -> None:
            page = window.opens(path)
            desk.shows(window, f"{name}-{scheme}")
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path

        for name, path in {
            "home": "/",
            "no-bank": "/b/nothing",
            "sign-in": "/sign-in",
            "offline": "/offline",
            "bank": bank.label,
        }.items():
            is_good(name, path)
        asks(window, bank.label, shop.staff.phone)
        for name, path in {
            "rental": window.page.url,
            "rentals": "/rentals",
            "me": "/me",
            "staff": "/staff",
            "job-over": "/staff/jobs/01M83RHQ9C633PDM7NQNVK0TFJ",
            "bank-signed-in": f"/b/{city.bank(shop).token}",
        }.items():
            is_good(name, path)


def test_a_renter_needs_no_pointer(desk: Desk, city: City) -> None:
    """From the label to the request by keys alone, and out of a dialog again."""
    bank = city.bank(city.shop())
    with desk.window("en", size=DESKTOP) as window:
        page = window.opens(bank.label)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        goes_to(page, page.get_by_role("link", name="Rent this bank"))
        page.keyboard.press("Enter")
        goes_to(page, page.locator("#phone"))
        page.keyboard.type(city.person().phone)
        page.keyboard.press("Enter")
        goes_to(page, page.locator("#code"))
        page.keyboard.type(page.inner_text("#demo-code"))
        page.keyboard.press("Enter")
        page.wait_for_selector(".leaflet-container")
        goes_to(page, page.locator("[name=address]"))
        page.keyboard.type("人民大道 1 號 5 樓")
        goes_to(page, page.locator("[data-map=pick]"))
        page.keyboard.press("ArrowUp")
        expect(page.locator("[data-place][data-chosen]")).to_be_attached()
        goes_to(page, page.get_by_role("button", name="Rent this bank"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/rentals/*")
        opener = page.get_by_role("button", name="Call it off").first
        goes_to(page, opener)
        page.keyboard.press("Enter")
        expect(page.locator("dialog[open]")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
        expect(opener).to_be_focused()


def goes_to(page: Page, wanted: Locator) -> None:
    """Press Tab until this has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(TABS_MAX):
        if wanted.evaluate("(each) => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{wanted} is not reached by the keyboard")


def test_a_renters_path_is_light(desk: Desk, city: City) -> None:
    """All that comes over the wire from the label to the rental, as if it were compressed."""
    bank = city.bank(city.shop())
    sizes: dict[str, int] = {}
    with desk.window("zh") as window:
        window.page.on("response", lambda answer: weigh(answer, sizes))
        asks(window, bank.label, city.person().phone)
        expect(window.page.locator(".code")).to_be_visible()
    assert sum(sizes.values()) < LIGHT_BYTES, sizes


def weigh(answer: Any, sizes: dict[str, int]) -> None:
    if answer.ok and "/stream" not in answer.url:
        sizes[answer.url] = len(gzip.compress(answer.body()))


def test_what_people_write_does_nothing(desk: Desk, city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    renter = city.person()
    shop.owner.does(f"/merchants/{shop.id}", {"name": SCRIPTS[0]})
    rental = city.rental(
        shop, bank, renter, door={"lat": 31.2304, "lng": 121.4737, "address": " ".join(SCRIPTS)}
    )
    with desk.window("en") as window:
        window.opens("/sign-in")
        window.signs_in(renter.phone)
        for path in (f"/rentals/{rental.id}", "/rentals"):
            is_inert(window, path)
    with desk.window("en") as window:
        window.opens("/sign-in")
        window.signs_in(shop.staff.phone)
        (job,) = shop.staff.jobs(rental.id)
        for path in ("/staff", f"/staff/jobs/{job['id']}"):
            is_inert(window, path)


def is_inert(window: Window, path: str) -> None:
    page = window.opens(path)
    expect(page.get_by_text(SCRIPTS[0]).first).to_be_visible()
    assert page.evaluate("window.hit") is None, path


def waits_for(window: Window, rental: Rental) -> None:
    """Its renter looks at a rental that was only asked for."""
    window.opens(f"/sign-in?next=/rentals/{rental.id}")
    window.signs_in(rental.renter.phone)
    window.is_headed("", "Looking for somebody to bring it")


def test_a_dropped_stream_is_resumed_and_nothing_is_lost(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    with wired(city.platform.url) as wire, desk.window("en", url=wire.url) as window:
        waits_for(window, rental)
        rental.take_along()
        window.is_headed("", "On its way to you")  # so there is a stream
        wire.cut()
        expect(window.page.locator(".away")).to_be_visible()
        rental.staff_does("delivery", "hand-over", code=rental.now()["code"])
        wire.mend()
        window.is_headed("", "It is here: scan to charge")
        expect(window.page.locator(".away")).to_be_hidden()
        window.wrong.clear()  # the browser noted each attempt


def test_without_a_network_a_page_says_so_and_catches_up(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    with desk.window("en") as window:
        waits_for(window, rental)
        window.page.context.set_offline(True)  # what is under way then goes on
        expect(window.page.locator(".away")).to_be_visible()
        rental.take_along()
        window.page.context.set_offline(False)
        window.is_headed("", "On its way to you")
        expect(window.page.locator(".away")).to_be_hidden()
        window.wrong.clear()  # the browser noted each attempt


@pytest.mark.parametrize("late", ["htmx.js", "hx-sse.js", "app.js"])
def test_a_page_whose_scripts_come_late_is_live(desk: Desk, city: City, late: str) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    with desk.window("en", service_workers="block") as window:
        window.signs_in(rental.renter.phone)
        window.opens("/offline")  # which is not live
        held: list[Route] = []
        window.page.route(f"**/{late}", lambda route: held.append(route))  # noqa: PLW0108 - playwright counts its parameters
        window.page.goto(f"{window.url}/rentals/{rental.id}", wait_until="commit")
        window.is_headed("", "Looking for somebody to bring it")
        until(lambda: window.page.evaluate("true") and held, what=f"{late} is asked for")
        window.page.evaluate("() => new Promise((go) => setTimeout(go, 50))")  # the others go on
        (route,) = held
        route.continue_()
        expect(window.page.locator("#stream[data-htmx-powered]")).to_have_count(1)
        rental.take_along()
        window.is_headed("", "On its way to you")


@pytest.mark.parametrize("how", ["busy", "lost"])
def test_a_look_that_fails_is_made_again(desk: Desk, city: City, how: str) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    with desk.window("en") as window:
        rental_id = asks(window, bank.label, city.person().phone)
        window.is_headed("", "Looking for somebody to bring it")
        failed: list[str] = []
        window.page.route(f"**/rentals/{rental_id}", lambda route: fails_once(route, how, failed))
        (job,) = shop.staff.jobs(rental_id)
        shop.staff.does(f"/staff/jobs/{job['id']}/accept")
        window.is_headed("", "Accepted, about to set out")
        window.wrong.clear()  # the browser noted the answer that failed
    assert failed


def test_a_page_that_cannot_look_says_so_though_it_hears(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    with desk.window("en") as window:
        waits_for(window, rental)
        failed: list[str] = []
        window.page.route(f"**/rentals/{rental.id}", lambda route: fails(route, "lost", failed))
        rental.take_along()
        expect(window.page.locator(".away")).to_be_visible()
        window.page.unroute(f"**/rentals/{rental.id}")
        window.is_headed("", "On its way to you")
        expect(window.page.locator(".away")).to_be_hidden()
        window.wrong.clear()  # the browser noted the looks that failed
    assert failed


@pytest.mark.parametrize("how", ["busy", "lost"])
def test_a_stream_that_could_not_begin_begins_later(desk: Desk, city: City, how: str) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    with desk.window("en") as window:
        failed: list[str] = []
        window.page.route("**/stream?*", lambda route: fails(route, how, failed))
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        expect(window.page.locator(".away")).to_be_visible()
        window.page.unroute("**/stream?*")
        rental.take_along()
        window.is_headed("", "On its way to you")
        expect(window.page.locator(".away")).to_be_hidden()
        window.wrong.clear()  # the browser noted the stream that failed
    assert failed


def fails_once(route: Route, how: str, failed: list[str]) -> None:
    if failed:
        route.fallback()
        return
    fails(route, how, failed)


def fails(route: Route, how: str, failed: list[str]) -> None:
    failed.append(route.request.url)
    if how == "busy":
        route.fulfill(status=503, body="<main id=live>busy</main>", content_type="text/html")
    else:
        route.abort()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_amount_is_taken_as_it_was_meant_and_never_guessed(
    desk: Desk, city: City, lang: str
) -> None:
    done = city.rental(city.shop()).start().complete()
    with desk.window(lang) as window:
        window.opens(f"/sign-in?next=/rentals/{done.id}")
        window.signs_in(done.renter.phone)
        window.presses("對帳單有異議", "Something is wrong with the bill")
        window.page.fill("#why", "It was slow.")
        send = window.page.locator("#dispute .stack > button")
        for typed in ("1.505", "two", "1.234,50", "-1", "1 or 2"):
            window.page.fill("#disputed", typed)
            send.click()
            said = window.t("請像 1.50 這樣填金額", "type an amount as 1.50")
            expect(window.page.locator("#dispute .problem")).to_contain_text(said)
            expect(window.page.locator("#disputed")).to_have_value(typed)
            expect(window.page.locator("#disputed")).to_have_attribute("aria-invalid", "true")
        window.page.fill("#disputed", " 1,5")
        send.click()
        expect(window.page.locator(".dispute")).to_be_visible()
        (dispute,) = done.renter.sees(f"/rentals/{done.id}/disputes")["items"]
        assert dispute["disputed_minor"] == 150


def test_what_is_wrong_is_said_while_the_page_around_it_goes_on(desk: Desk, city: City) -> None:
    rental = city.rental(city.shop()).start()
    rental.ask_return()
    rental.collect()
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.presses("", "Something is wrong with the bill")
        window.page.fill("#why", "It was slow.")
        window.page.fill("#disputed", "two")
        window.page.locator("#dispute .stack > button").click()
        expect(window.page.locator("#dispute .problem")).to_be_visible()
        city.answer(rental.ask_bill())
        window.is_headed("", "Done, thank you")
        expect(window.page.locator("#dispute .problem")).to_be_visible()
        expect(window.page.locator("#disputed")).to_have_attribute("aria-invalid", "true")
        expect(window.page.locator("#disputed")).to_have_value("two")


def test_a_field_says_what_is_wrong_with_it(desk: Desk, city: City) -> None:
    shop = city.shop()
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/merchant/{shop.id}/settings")
        window.signs_in(shop.owner.phone)
        window.page.evaluate("document.querySelector('#radius').removeAttribute('max')")
        window.page.fill("#radius", "60000")
        window.page.locator("form:has(#radius) > button").click()
        expect(window.page.locator("form:has(#radius) .problem")).to_contain_text(
            "How far you deliver, in metres: must be at most 50000"
        )


def test_what_staff_do_without_a_connection_is_done_once_it_is_back(desk: Desk, city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    rental = city.rental(shop, bank).take_along()
    (job,) = shop.staff.jobs(rental.id)
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        window.signs_in(shop.staff.phone)
        window.is_headed("", "Bring it to the renter")
        expect(window.page.locator("[data-queue-shown]")).to_be_attached()
        lost: list[str] = []
        window.page.route("**/hand-over", lambda route: loses_answer(route, lost))
        window.page.fill("#code", rental.now()["code"])
        window.page.click("#by-code button")
        expect(window.page.locator(".queued")).to_contain_text("waits for a connection")
        rental.reaches("delivered")  # it had arrived: only the answer was lost
        window.page.unroute("**/hand-over")
        expect(window.page.locator(".queued")).to_have_count(0)
        assert [step["event"] for step in rental.now()["steps"]].count("hand_over") == 1
        window.wrong.clear()  # the browser noted the answers that were lost
    assert lost


def test_staff_go_on_without_a_connection_and_all_is_done_in_turn(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop)
    (job,) = shop.staff.jobs(rental.id)
    shop.staff.does(f"/staff/jobs/{job['id']}/accept")
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        window.signs_in(shop.staff.phone)
        page, queued = window.page, window.page.locator(".queued")
        expect(page.locator("[data-queue-shown]")).to_be_attached()
        expect(page.locator("#by-code")).to_be_hidden()
        expect(page.locator(".job dl")).to_contain_text(f"Where{SHOP['address']}")
        leads = page.get_by_role("link", name="Open in a navigation app")
        expect(leads).to_have_attribute("href", re.compile(f"^geo:{SHOP['lat']},"))
        page.context.set_offline(True)
        page.fill("#set-out-label", rental.bank.label)
        page.click("#set-out > button")
        expect(queued).to_have_count(1)
        expect(page.locator("#set-out")).to_be_hidden()
        page.fill("#code", rental.now()["code"])
        page.click("#by-code > button")
        expect(queued).to_have_count(2)
        expect(page.locator("#by-code")).to_be_hidden()

        page.context.set_offline(False)
        rental.reaches("delivered")
        expect(queued).to_have_count(0)
        window.wrong.clear()  # the browser noted each attempt


def test_what_waits_and_is_not_wanted_any_more_is_not_sent(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop).take_along()
    (job,) = shop.staff.jobs(rental.id)
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        window.signs_in(shop.staff.phone)
        page = window.page
        expect(page.locator("[data-queue-shown]")).to_be_attached()
        page.route("**/hand-over", lambda route: route.fulfill(status=503, json={}))
        page.fill("#code", rental.now()["code"])
        page.click("#by-code > button")
        expect(page.locator(".queued")).to_contain_text("waits for a connection")
        page.get_by_role("button", name="Do not send it").click()
        expect(page.locator(".queued")).to_have_count(0)
        page.unroute("**/hand-over")
        page.reload()
        expect(page.locator("#by-code")).to_be_visible()
        assert rental.now()["state"] == "delivering"
        window.wrong.clear()  # the browser noted each attempt


def test_what_waits_of_one_person_is_not_done_in_the_name_of_another(
    desk: Desk, city: City
) -> None:
    shop = city.shop()
    rental = city.rental(shop).take_along()
    (job,) = shop.staff.jobs(rental.id)
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        window.signs_in(shop.staff.phone)
        expect(window.page.locator("[data-queue-shown]")).to_be_attached()
        tried: list[str] = []
        window.page.route("**/hand-over", lambda route: loses_request(route, tried))
        window.page.fill("#code", rental.now()["code"])
        window.page.click("#by-code button")
        expect(window.page.locator(".queued")).to_contain_text("waits for a connection")

        window.opens("/me")
        window.presses("", "Sign out")
        tried.clear()
        window.opens("/sign-in?next=/staff")
        window.signs_in(shop.owner.phone)
        expect(window.page.locator("[data-queue-shown]")).to_be_attached()
        window.page.evaluate("dispatchEvent(new Event('online'))")
        expect(window.page.locator(".queued")).to_have_count(0)
        assert not tried
        window.opens("/me")
        window.presses("", "Sign out")

        window.page.unroute("**/hand-over")
        window.opens("/sign-in?next=/staff")
        window.signs_in(shop.staff.phone)
        rental.reaches("delivered")
        window.wrong.clear()  # the browser noted the requests that were lost


def test_what_waits_while_a_session_ends_is_done_after_signing_in(desk: Desk, city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop).take_along()
    (job,) = shop.staff.jobs(rental.id)
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/staff/jobs/{job['id']}")
        with window.page.expect_response("**/stream?*"):
            window.signs_in(shop.staff.phone)
        expect(window.page.locator("#code")).to_be_visible()
        window.page.fill("#code", rental.now()["code"])
        window.page.context.clear_cookies(name="lendwatt")
        window.page.click("#by-code button")
        window.page.wait_for_url("**/sign-in?next=*")
        window.signs_in(shop.staff.phone)
        rental.reaches("delivered")


def loses_request(route: Route, tried: list[str]) -> None:
    tried.append(route.request.url)
    route.abort()


def loses_answer(route: Route, lost: list[str]) -> None:
    if not lost:
        route.fetch()
        lost.append(route.request.url)
    route.abort()


def test_a_form_says_what_is_wrong_and_keeps_what_was_typed(desk: Desk, city: City) -> None:
    shop = city.shop()
    bank, other = city.bank(shop), city.bank(shop)
    rental = city.rental(shop, bank)
    rental.bring()
    with desk.window("en") as window:
        window.opens(f"/sign-in?next=/rentals/{rental.id}")
        window.signs_in(rental.renter.phone)
        window.page.fill("#label", other.label)
        window.presses("", "Next: the deposit")
        expect(window.page.locator(".problem")).to_be_visible()
        expect(window.page.locator("#label")).to_have_value(other.label)
        window.page.fill("#label", bank.label)
        window.presses("", "Next: the deposit")
        window.is_headed("", "The deposit is next")
