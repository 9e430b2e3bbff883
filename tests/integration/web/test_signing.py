"""Signing in on a page: the cookie, what it opens, and what another site cannot do with it."""

import re

import pytest
from httpx2 import Response

from tests.integration.web.conftest import Browser

PHONE = "+8613911112222"
OURS = {"sec-fetch-site": "same-origin", "accept": "text/html"}


def submits(browser: Browser, path: str, **fields: str) -> Response:
    return browser.client.post(path, data=fields, headers=OURS, follow_redirects=False)


def signs_in(browser: Browser, *, next_: str = "/rentals", phone: str = PHONE) -> Response:
    told = submits(browser, "/sign-in/code", phone=phone, next=next_)
    code = re.search(r'id="demo-code">(\d{6})<', told.text)
    assert code is not None, told.text
    return submits(browser, "/sign-in", phone=phone, code=code[1], next=next_)


def test_signed_in_the_cookie_opens_the_pages_and_the_api(browser):
    answer = signs_in(browser)

    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303
    assert answer.headers["location"] == "/rentals"
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert browser.opens("/rentals").status_code == 200
    assert browser.client.get("/api/v1/me").json()["phone"] == PHONE


@pytest.mark.parametrize("path", ["/rentals", "/me", "/staff", "/rentals?before=x"])
def test_whoever_should_be_signed_in_is_asked_to_and_comes_back(browser, path):
    answer = browser.opens(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=%2F")


@pytest.mark.parametrize(
    "away", ["//evil.example/", "https://evil.example", "/\\evil.example", "x"]
)
def test_one_comes_back_to_us_and_to_nobody_else(browser, away):
    assert signs_in(browser, next_=away).headers["location"] == "/rentals"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
def test_another_sites_page_changes_nothing_with_our_cookie(browser, headers):
    browser.market()
    signs_in(browser)
    body = {"qr_token": browser.token, "lat": 31.2304, "lng": 121.4737, "address": "here"}

    asked = browser.client.post(
        "/api/v1/rentals", json=body, headers=headers | {"idempotency-key": "k"}
    )
    out = browser.client.post("/sign-out", headers=headers, follow_redirects=False)

    assert (asked.status_code, asked.json()["code"]) == (401, "unauthenticated")
    assert out.status_code == 403
    assert browser.client.get("/api/v1/rentals").json()["items"] == []


def test_our_own_page_is_known_by_its_origin_where_the_browser_says_no_more(browser):
    browser.market()
    signs_in(browser)
    body = {"qr_token": browser.token, "lat": 31.2304, "lng": 121.4737, "address": "here"}

    asked = browser.client.post(
        "/api/v1/rentals",
        json=body,
        headers={"origin": "http://lendwatt.test", "idempotency-key": "k"},
    )

    assert asked.status_code != 401


def test_neither_kind_of_token_passes_for_the_other(browser):
    signs_in(browser)
    cookie = browser.client.cookies["lendwatt"]
    browser.client.cookies.clear()

    as_bearer = browser.client.get("/api/v1/me", headers={"authorization": f"Bearer {cookie}"})
    told = browser.client.post("/api/v1/auth/codes", json={"phone": PHONE}).json()
    tokens = browser.client.post(
        "/api/v1/auth/tokens", json={"phone": PHONE, "code": told["demo_code"]}
    ).json()
    browser.client.cookies.set("lendwatt", tokens["access_token"])

    assert as_bearer.status_code == 401
    assert browser.client.get("/api/v1/me").status_code == 401


def test_signed_out_the_cookie_is_worth_nothing(browser):
    signs_in(browser)
    cookie = browser.client.cookies["lendwatt"]
    assert submits(browser, "/sign-out").headers["location"] == "/"
    browser.client.cookies.set("lendwatt", cookie)

    assert browser.client.get("/api/v1/me").status_code == 401
    assert browser.opens("/").status_code == 200  # who was signed out may look like anybody


def test_a_cookie_that_is_dead_keeps_nobody_from_signing_in_or_out(browser):
    signs_in(browser)
    cookie = browser.client.cookies["lendwatt"]
    submits(browser, "/sign-out")
    for dead in (cookie, "nonsense"):
        browser.client.cookies.set("lendwatt", dead)
        assert browser.opens("/sign-in").status_code == 200
        out = submits(browser, "/sign-out")
        assert out.headers["location"] == "/"
        assert 'lendwatt=""' in out.headers["set-cookie"]


def test_what_was_asked_for_is_looked_at_again_and_kept_in_the_other_language(browser):
    signs_in(browser)
    asked = "before=01J9ZV3C8R0000000000000000"
    page = browser.opens(f"/rentals?{asked}&lang=en")

    assert f'hx-get="/rentals?{asked}"' in page.text
    assert f'href="?lang=zh&amp;{asked}"' in page.text


def test_after_thirty_days_one_signs_in_again(browser):
    signs_in(browser)
    browser.clock.turn(days=29)
    assert browser.client.get("/api/v1/me").status_code == 200

    browser.clock.turn(days=2)

    assert browser.client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_phone_that_is_none_is_kept_and_explained(browser, lang):
    answer = browser.client.post(
        "/sign-in/code", data={"phone": "12<b>"}, headers=OURS | {"accept-language": lang}
    )

    assert answer.status_code == 422
    assert 'value="12&lt;b&gt;"' in answer.text
    assert "+86 138 0000 0000" in answer.text


def test_too_many_codes_are_refused_on_the_page_with_when_to_come_back(browser):
    for _ in range(5):
        assert submits(browser, "/sign-in/code", phone=PHONE).status_code == 200

    answer = submits(browser, "/sign-in/code", phone=PHONE)

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert f'value="{PHONE}"' in answer.text


def test_a_wrong_code_counts_and_is_said_in_the_form(browser):
    told = submits(browser, "/sign-in/code", phone=PHONE)
    code = re.search(r'id="demo-code">(\d{6})<', told.text)
    assert code is not None
    wrong = "000000" if code[1] != "000000" else "111111"

    answers = [submits(browser, "/sign-in", phone=PHONE, code=wrong) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {401}
    assert "4 tries" in answers[0].text
    assert submits(browser, "/sign-in", phone=PHONE, code=code[1]).status_code == 401


@pytest.mark.parametrize(
    "typed", ["138 0013 8000", "13800138000", "+86-138-0013-8000", "0086 13800138000"]
)
def test_a_phone_may_be_typed_as_people_do(browser, typed):
    assert "+8613800138000" in submits(browser, "/sign-in/code", phone=typed).text
