"""The root of the pages, as a browser without a script reads them."""

import gzip
import hashlib
import json
from datetime import UTC, timedelta
from html.parser import HTMLParser
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from backend.api import words as api_words
from backend.db.seam import to_ms
from backend.db.tables.market import MerchantStatus
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.domain.tariff import disclosure
from backend.services import rentals
from backend.web.offer import reach, reasons
from backend.web.reader import Reader
from backend.web.render import STATIC
from backend.web.words import WORDS
from gateway.protocol import Lock
from tests.integration.web.conftest import BANK, NOON, TERMS, Browser

LANGS = ("zh", "en")
SCRIPTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'); alert(1); ('",
    "{{ 7 * 7 }}{% raw %}",
    "</title><svg/onload=alert(1)>",
)
LIGHT_BYTES = 20_000


class Page(HTMLParser):
    """What a browser would make of a page: its elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def hrefs(self) -> set[str | None]:
        return {attrs["href"] for attrs in self.attributes("a")}


def every_page(browser: Browser) -> tuple[str, ...]:
    """An address of each."""
    browser.market()
    return ("/", "/?code=wrong", f"/b/{browser.token}", "/b/nothing", "/rentals/x")


# -- every page ----------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
def test_each_page_is_in_the_language_of_its_reader_and_leads_to_the_other(browser, lang):
    other = "en" if lang == "zh" else "zh"

    for path in every_page(browser):
        answer = browser.opens(path, lang)
        page = Page(answer.text)

        assert page.attributes("html") == [{"lang": "zh-Hant" if lang == "zh" else "en"}], path
        assert answer.headers["content-language"] == page.attributes("html")[0]["lang"]
        assert any((href or "").startswith(f"?lang={other}") for href in page.hrefs()), path
        assert any(each.get("name") == "viewport" for each in page.attributes("meta"))
        assert "<title>" in answer.text


def test_each_page_is_light_and_allows_nothing_but_its_own_files(browser):
    for path in every_page(browser):
        answer = browser.opens(path)
        policy = answer.headers["content-security-policy"]

        assert len(answer.content) < LIGHT_BYTES, path
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_no_page_has_a_script_or_a_style_written_into_it(browser):
    for path in every_page(browser):
        page = Page(browser.opens(path).text)
        tags = {tag for tag, _ in page.elements}

        assert tags.isdisjoint({"style", "iframe"}), path
        assert [attrs["type"] for attrs in page.attributes("script")] == ["module"], path
        assert all(
            (attrs["src"] or "").startswith("/static/") for attrs in page.attributes("script")
        )
        for _, attrs in page.elements:
            assert "style" not in attrs, path
            assert not any(name.startswith("on") for name in attrs), path


def test_what_a_page_refers_to_is_there_and_may_be_kept(browser):
    page = Page(browser.opens("/").text)
    files = {attrs["href"] for attrs in page.attributes("link")}
    files |= {attrs["src"] for attrs in page.attributes("img")}

    files |= {attrs["src"] for attrs in page.attributes("script")}
    files.remove("/manifest.webmanifest")

    assert len(files) == 6
    for file in files:
        answer = browser.opens(str(file))
        assert answer.status_code == 200
        assert len(gzip.compress(answer.content)) < LIGHT_BYTES
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_under_the_name_of_another_day_is_served_and_not_kept(browser):
    answer = browser.opens("/static/0123456789ab/page.css")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("lang", LANGS)
def test_a_phone_may_keep_it_as_an_app(browser, lang):
    app = browser.opens("/manifest.webmanifest", lang).json()

    assert app["start_url"] == "/rentals"
    assert app["display"] == "standalone"
    for picture in app["icons"]:
        answer = browser.opens(picture["src"])
        assert answer.headers["content-type"] == picture["type"]
    worker = browser.opens("/sw.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"


def test_what_was_taken_from_others_is_what_they_gave_out():
    told = json.loads((STATIC / "vendor" / "vendor.json").read_text())
    files = {
        str(path.relative_to(STATIC / "vendor"))
        for path in (STATIC / "vendor").rglob("*")
        if path.suffix in {".js", ".css", ".png"}
    }

    assert files == set(told)
    for name, said in told.items():
        seal = hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest()
        assert seal == said["sha256"], name


def test_links_to_our_own_addresses_lead_somewhere(browser):
    for path in every_page(browser):
        for href in Page(browser.opens(path).text).hrefs():
            if href and href.startswith("/") and href != "/readyz":
                answer = browser.opens(href)
                if answer.status_code == 303:
                    assert answer.headers["location"].startswith("/sign-in?")
                    answer = browser.opens(answer.headers["location"])
                assert answer.status_code == 200, (path, href)


def test_a_page_can_be_asked_for_without_its_body(browser):
    assert browser.client.head("/").status_code == 200


# -- languages -----------------------------------------------------------------------------


def test_a_chosen_language_is_remembered(browser):
    chosen = browser.opens("/?lang=zh", "en")

    cookie = chosen.headers["set-cookie"].lower()
    assert "samesite=lax" in cookie
    assert "httponly" in cookie
    assert '<html lang="zh-Hant">' in chosen.text
    assert '<html lang="zh-Hant">' in browser.opens("/rentals/x", "en").text


def test_choosing_again_outdoes_what_was_remembered(browser):
    browser.opens("/?lang=zh")

    assert '<html lang="en">' in browser.opens("/?lang=en").text
    assert '<html lang="en">' in browser.opens("/", "zh").text


@pytest.mark.parametrize("asked", ["", "fr", "zz-<script>"])
def test_a_language_that_there_is_not_changes_nothing(browser, asked):
    answer = browser.client.get("/", params={"lang": asked}, headers={"accept-language": "zh-HK"})

    assert '<html lang="zh-Hant">' in answer.text
    assert "set-cookie" not in answer.headers


def test_a_reader_of_neither_language_reads_english(browser):
    answer = browser.client.get("/", headers={"accept-language": "fr-FR"})

    assert '<html lang="en">' in answer.text


# -- the first page ------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
def test_the_first_page_says_what_this_is_and_where_things_are(browser, lang):
    page = Page(browser.opens("/", lang).text)

    words = WORDS[Lang(lang)]
    assert words.lead in page.words
    assert words.demo in page.words
    assert "mqtt://127.0.0.1:1883" in page.words
    assert {
        "/api/v1/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "http://127.0.0.1:8001/openapi.json",
    } <= page.hrefs()


def test_the_first_page_tells_no_insides_where_it_is_no_demo(browser):
    parts = browser.client.app.state.parts
    real = parts.settings.model_copy(update={"demo": False})
    object.__setattr__(parts, "settings", real)

    page = Page(browser.opens("/").text)

    assert "8001" not in page.words
    assert "mqtt://" not in page.words
    assert WORDS[Lang.EN].demo not in page.words


@pytest.mark.parametrize(("well", "said"), [(True, "ready"), (False, "not_ready")])
def test_the_first_page_says_whether_all_is_ready(browser, well, said):
    parts = browser.client.app.state.parts
    object.__setattr__(parts, "probes", {"hears_banks": lambda: well})

    page = Page(browser.opens("/").text)

    assert f">{getattr(WORDS[Lang.EN], said)}</p>" in browser.opens("/").text
    assert page.attributes("form") == [{"action": "/", "method": "get"}]


@pytest.mark.parametrize(
    "typed", ["{}", "  {} ", "http://lendwatt.test/b/{}", "https://x.example/b/{}/?lang=zh#top"]
)
def test_a_typed_code_or_a_pasted_link_opens_its_bank(browser, typed):
    browser.market()

    answer = browser.client.get(
        "/", params={"code": typed.format(browser.token)}, follow_redirects=False
    )

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/b/{browser.token}"


@pytest.mark.parametrize("typed", ["LW-000123", "http://[", "é" * 20, "x" * 9_000, *SCRIPTS])
@pytest.mark.parametrize("lang", LANGS)
def test_a_typed_text_that_is_no_code_is_kept_and_explained(browser, typed, lang):
    headers = {"accept-language": lang}
    answer = browser.client.get("/", params={"code": typed}, headers=headers)

    page = Page(answer.text)
    (field,) = page.attributes("input")
    assert answer.status_code == 422
    assert WORDS[Lang(lang)].not_a_code in page.words
    assert field["value"] == typed[:500]
    assert len(answer.content) < LIGHT_BYTES
    assert len(page.attributes("script")) == 1


def test_switching_the_language_keeps_what_was_typed(browser):
    page = Page(browser.client.get("/", params={"code": "a&b c"}).text)

    assert "?lang=zh&code=a%26b+c" in page.hrefs()


def test_an_empty_code_is_no_mistake(browser):
    assert browser.opens("/?code=").status_code == 200


# -- a bank's page ---------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
def test_a_label_opens_which_bank_it_is_whose_how_full_and_what_it_costs(browser, lang):
    browser.market()
    browser.clock.turn(seconds=150)

    answer = browser.scans(lang)
    page = Page(answer.text)

    words = WORDS[Lang(lang)]
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for told in (
        BANK,
        "LW-10K-A",
        "阿明的充電寶",
        "人民大道 200 號",
        words.within_km.format(n="2.5"),
        "87%",
        {"zh": "2 分鐘前", "en": "2 min ago"}[lang],
        words.locks["locked"],
        words.rentable,
        "¥8.00",  # an hour, delivered
        "¥35.00",  # a day
        "¥99.00",  # the deposit
        *disclosure(TERMS, Lang(lang)).splitlines(),
    ):
        assert told in page.words, told
    assert words.not_rentable not in page.words


def test_renting_begins_with_signing_in(browser):
    browser.market()

    assert f"/sign-in?next=/b/{browser.token}" in Page(browser.scans().text).hrefs()


NOT_NOW = {
    WhyNot.RECALLED: lambda browser: browser.bank_is(is_recalled=True),
    WhyNot.NOT_APPROVED: lambda browser: browser.merchant_is(status=MerchantStatus.PENDING),
    WhyNot.NOT_OFFERED: lambda browser: browser.bank_is(is_offered=False),
    WhyNot.RESERVED: lambda browser: browser.is_rented(),
    WhyNot.CLOSED: lambda browser: browser.merchant_is(is_open=False),
    WhyNot.FAULTY: lambda browser: browser.bank_says(lock="jammed"),
    WhyNot.OFFLINE: lambda browser: browser.bank_says(presence="offline"),
    WhyNot.LOW: lambda browser: browser.bank_says(battery=49),
}


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("why", NOT_NOW)
def test_a_bank_that_cannot_be_rented_says_why_and_what_to_do(browser, why, lang):
    browser.market()
    NOT_NOW[why](browser)

    page = Page(browser.scans(lang).text)

    words = WORDS[Lang(lang)]
    (reason,) = reasons((why,), Lang(lang))
    assert words.not_rentable in page.words
    assert words.rentable not in page.words
    assert reason.title in page.words
    assert reason.advice in page.words
    assert words.rent not in page.words
    assert words.again in page.words
    assert sum(words.advice[each] in page.words for each in WhyNot) == 1


def test_who_may_have_rented_it_already_signs_in_and_goes_on(browser):
    browser.market()
    assert f"/sign-in?next=/b/{browser.token}" in browser.scans().text  # to rent it
    browser.is_rented()
    assert f"/sign-in?next=/b/{browser.token}" in browser.scans().text  # it may be mine


@pytest.mark.parametrize("lang", LANGS)
def test_without_a_price_none_is_shown(browser, lang):
    browser.market(has_tariff=False)

    page = Page(browser.scans(lang).text)

    assert WORDS[Lang(lang)].advice[WhyNot.NO_TARIFF] in page.words
    assert WORDS[Lang(lang)].costs not in page.words
    assert "¥" not in page.words


@pytest.mark.parametrize("lang", LANGS)
def test_a_bank_that_never_spoke_has_no_charge_to_show(browser, lang):
    browser.market()
    browser.bank_says(battery=None, lock=None)

    page = Page(browser.scans(lang).text)

    assert WORDS[Lang(lang)].silent in page.words
    assert WORDS[Lang(lang)].advice[WhyNot.OFFLINE] in page.words
    before_the_terms = page.words.partition(WORDS[Lang(lang)].costs)[0]
    assert "%" not in before_the_terms


def test_old_news_tells_its_age_and_is_not_gone_by(browser):
    browser.market()
    browser.bank_says(state_at_ms=to_ms(browser.clock.now() - timedelta(hours=30)))

    answer = browser.scans()

    assert "30 h ago" in answer.text
    assert 'class="level still"' in answer.text
    assert WORDS[Lang.EN].advice[WhyNot.OFFLINE] in Page(answer.text).words


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize("lang", LANGS)
def test_what_merchants_and_banks_write_is_shown_and_does_nothing(browser, text, lang):
    browser.market()
    plain = [tag for tag, _ in Page(browser.scans(lang).text).elements]
    browser.merchant_is(name=text, address=text)
    browser.bank_is(model=text)

    page = Page(browser.scans(lang).text)

    assert page.words.count(text) >= 3
    assert [tag for tag, _ in page.elements] == plain


# -- what goes wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("token", ["A" * 43, "LW-000123", "%00" * 20, "%3Cscript%3E", "a/b"])
def test_an_unknown_label_says_so_on_a_page(browser, token, lang):
    answer = browser.opens(f"/b/{token}", lang)

    page = Page(answer.text)
    words = WORDS[Lang(lang)]
    assert answer.status_code == 404
    assert words.no_bank in page.words
    assert words.no_bank_more in page.words
    assert len(page.attributes("input")) == 1
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_who_says_nothing_of_what_they_read_gets_a_page_here_too(browser):
    answer = browser.client.get("/b/nothing", headers={"accept": "*/*"})

    assert answer.headers["content-type"].startswith("text/html")


def test_another_method_is_refused_on_a_page(browser):
    answer = browser.client.post("/rentals/x")

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET"}
    assert "<h1>" in answer.text


def test_an_address_that_there_is_not_is_a_page_for_a_browser_only(browser):
    page = browser.opens("/nowhere")
    problem = browser.opens("/nowhere", accept="application/json")

    assert page.status_code == problem.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert problem.headers["content-type"] == "application/problem+json"


def test_errors_of_the_api_stay_problems(browser):
    for path in ("/api/v1/qr/nothing-of-the-kind", "/api/v1/nowhere", "/api/v1/rentals"):
        assert browser.opens(path).headers["content-type"] == "application/problem+json", path


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (OperationalError("SELECT", {}, Exception("locked")), 503, "try_again"),
        (RuntimeError("secret insides"), 500, "internal"),
    ],
)
def test_a_failure_is_told_as_a_page_without_insides(
    browser, failure, status, code, *, lang, monkeypatch
):
    browser.market()
    monkeypatch.setattr(rentals, "look", Mock(side_effect=failure))

    answer = browser.scans(lang)

    known = next(each for each in api_words.WORDS if each == code)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    assert api_words.WORDS[known][Lang(lang)].title in answer.text
    assert "secret" not in answer.text
    assert "SELECT" not in answer.text


def test_limits_before_any_route_are_told_as_pages_too(browser):
    html = {"accept": "text/html", "origin": "http://lendwatt.test"}
    large = browser.client.post("/sign-in/code", data={"phone": "1" * 100_000}, headers=html)
    answers = [browser.client.post("/sign-in", headers=html) for _ in range(100)]
    often = next(answer for answer in answers if answer.status_code == 429)

    assert large.status_code == 413
    assert large.headers["connection"] == "close"
    assert int(often.headers["retry-after"]) >= 1
    for answer in (large, often):
        assert answer.headers["content-type"].startswith("text/html")
        assert "<h1>" in answer.text
    told = [browser.client.post("/api/v1/auth/tokens", json={}) for _ in range(100)]
    problem = next(answer for answer in told if answer.status_code == 429)
    assert problem.headers["content-type"] == "application/problem+json"


# -- back from paying ------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
def test_who_comes_back_from_paying_is_thanked_and_told_nothing(browser, lang):
    one = browser.opens("/rentals/01J9ZV3C8R0000000000000000", lang)
    other = browser.opens("/rentals/anything", lang)

    assert one.status_code == 200
    # The address that was opened is where signing in leads back to.
    assert one.text.replace("01J9ZV3C8R0000000000000000", "anything") == other.text
    assert WORDS[Lang(lang)].thanks_app in one.text


# -- words ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", Lang)
def test_every_reason_and_every_lock_has_words(lang):
    assert set(WORDS[lang].advice) == set(WhyNot)
    assert set(WORDS[lang].locks) == set(Lock)


def test_a_rented_bank_is_not_also_told_to_be_away():
    told = reasons((WhyNot.NOT_WITH_MERCHANT, WhyNot.NOT_OFFERED, WhyNot.RESERVED), Lang.EN)

    assert [reason.title for reason in told] == ["Somebody else has it"]


@pytest.mark.parametrize(
    ("age_s", "said"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (172_799, "47 h ago"),
        (172_800, "2 days ago"),
    ],
)
def test_an_age_is_named_in_its_largest_unit(age_s, said):
    reader = Reader(lang=Lang.EN, zone=UTC, is_zone_known=False, now=NOON)

    assert f">{said}</time>" in reader.ago(NOON - timedelta(seconds=age_s))


@pytest.mark.parametrize(
    ("radius_m", "said"),
    [
        (800, "within 800 m"),
        (1000, "within 1 km"),
        (2500, "within 2.5 km"),
        (20_000, "within 20 km"),
    ],
)
def test_a_radius_is_named_in_metres_or_kilometres(radius_m, said):
    assert reach(radius_m, WORDS[Lang.EN]) == said
