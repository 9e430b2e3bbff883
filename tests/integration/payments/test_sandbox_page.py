"""The payer's page, through real HTTP, as a browser without a script would use it."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from backend.payments.port import Capture, PaymentStatus


class Form(HTMLParser):
    """Finds the hidden fields and the buttons of a page's form."""

    def __init__(self, text):
        super().__init__()
        self.fields = {}
        self.buttons = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "input":
            self.fields[named["name"]] = named["value"]
        if tag == "button":
            self.buttons.add(named["value"])


@pytest.fixture
def browser():
    with httpx.Client(timeout=10, trust_env=False, follow_redirects=True) as client:
        yield client


def press(browser, url, button):
    form = Form(browser.get(url).text)
    assert button in form.buttons
    return browser.post(url, data=form.fields | {"action": button})


def test_the_page_says_who_is_paid_how_much_and_what_for(sandbox, browser):
    payment = sandbox.ask(amount_minor=123456, description="Power bank LW-0001")

    page = browser.get(payment.pay_url, headers={"accept-language": "en-GB,en;q=0.8"})

    assert page.status_code == 200
    assert '<html lang="en">' in page.text
    for told in ("Lendwatt", "CN¥1,234.56", "Power bank LW-0001", "no real money"):
        assert told in page.text


def test_the_page_speaks_chinese_to_who_does(sandbox, browser):
    payment = sandbox.ask(Capture.MANUAL)

    page = browser.get(payment.pay_url, headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"})

    assert '<html lang="zh-Hant">' in page.text
    for told in ("押金", "¥99.00", "只凍結", "7 天", "不會動用真實資金"):
        assert told in page.text
    assert "CN¥" not in page.text


def test_the_reader_can_choose_the_other_language(sandbox, browser):
    payment = sandbox.ask()

    page = browser.get(payment.pay_url + "?lang=en", headers={"accept-language": "zh"})

    assert '<html lang="en">' in page.text
    assert 'href="?lang=zh-Hant"' in page.text


@pytest.mark.parametrize(("lang", "held"), [("zh", "押金已凍結"), ("en", "Deposit held")])
def test_a_deposit_is_agreed_to_on_the_page(sandbox, browser, lang, held):
    payment = sandbox.ask(Capture.MANUAL)

    done = press(browser, f"{payment.pay_url}?lang={lang}", "pay")

    assert done.status_code == 200
    assert held in done.text
    assert 'href="http://127.0.0.1:1/back"' in done.text
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.AUTHORIZED


@pytest.mark.parametrize(("lang", "paid"), [("zh", "支付成功"), ("en", "Paid")])
def test_a_payment_is_paid_on_the_page(sandbox, browser, lang, paid):
    payment = sandbox.ask()

    done = press(browser, f"{payment.pay_url}?lang={lang}", "pay")

    assert f"<h1>{paid}</h1>" in done.text
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.PAID


@pytest.mark.parametrize(("lang", "said"), [("zh", "已拒絕"), ("en", "Declined")])
def test_a_payment_is_declined_on_the_page(sandbox, browser, lang, said):
    payment = sandbox.ask()

    done = press(browser, f"{payment.pay_url}?lang={lang}", "decline")

    assert said in done.text
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.FAILED


def test_who_pays_twice_pays_once_and_is_told_so(sandbox, browser):
    payment = sandbox.ask()
    form = Form(browser.get(payment.pay_url).text).fields | {"action": "pay"}
    browser.post(payment.pay_url, data=form)

    again = browser.post(payment.pay_url + "?lang=en", data=form)

    assert "<h1>Paid</h1>" in again.text
    assert sandbox.provider.fetch(payment.ref).captured_minor == 9900


def test_what_was_taken_freed_and_refunded_is_told(sandbox, browser):
    payment = sandbox.held()
    sandbox.provider.capture(payment.ref, key="capture", amount_minor=1500)
    sandbox.provider.refund(payment.ref, key="refund", amount_minor=200)

    page = browser.get(payment.pay_url + "?lang=en")

    for told in ("CN¥15.00 was taken", "The other CN¥84.00 is free", "CN¥2.00 was refunded"):
        assert told in page.text


def test_a_released_deposit_says_that_it_is_free_again(sandbox, browser):
    payment = sandbox.held()
    sandbox.provider.release(payment.ref, key="release")

    assert "free again" in browser.get(payment.pay_url + "?lang=en").text


def test_a_payment_that_ran_out_cannot_be_paid(sandbox, browser):
    payment = sandbox.ask()
    form = Form(browser.get(payment.pay_url).text).fields | {"action": "pay"}
    sandbox.clock.turn(hours=3)

    page = browser.post(payment.pay_url + "?lang=en", data=form)

    assert "Expired" in page.text
    assert sandbox.provider.fetch(payment.ref).captured_minor == 0


@pytest.mark.parametrize("forged", [{"token": "0" * 64}, {"token": "é"}, {}, {"action": "give"}])
def test_a_form_that_is_not_ours_does_nothing(sandbox, browser, forged):
    payment = sandbox.ask()
    ours = Form(browser.get(payment.pay_url).text).fields
    form = {"action": "pay"} | (ours if "action" in forged else {}) | forged

    answer = browser.post(payment.pay_url, data=form)

    assert answer.status_code == 403
    assert "text/html" in answer.headers["content-type"]
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.OPEN


def test_a_link_to_nothing_says_so_in_the_readers_language(sandbox, browser):
    answer = browser.get(sandbox.url + "/pay/pay_1")
    assert answer.status_code == 404
    assert "No such payment" in answer.text
    assert "找不到這筆付款" in browser.get(sandbox.url + "/pay/pay_1?lang=zh").text
    receipt = browser.get(sandbox.url + "/payouts/po_1", headers={"accept-language": "zh-TW"})
    assert receipt.status_code == 404
    assert "找不到這筆轉帳" in receipt.text


def test_a_receipt_says_what_became_of_money_that_was_sent(sandbox, browser):
    listing = f"{sandbox.url}/payouts/"
    sent = sandbox.pay_out(amount_minor=1234)
    lost = sandbox.pay_out(account="sandbox:closed")
    before = browser.get(listing + sent.ref)

    sandbox.payout_ends(sent)

    for told in ("On its way", "CN¥12.34", "sandbox:shop", sent.reference, "From", "Lendwatt"):
        assert told in before.text
    assert "<h1>Arrived</h1>" in browser.get(listing + sent.ref).text
    assert "<h1>轉帳失敗，款項已退回</h1>" in browser.get(f"{listing}{lost.ref}?lang=zh").text


def test_what_others_wrote_is_only_text(sandbox, browser):
    payment = sandbox.ask(
        description="<script>alert(1)</script>{{ 7 * 7 }}",
        return_url='http://127.0.0.1:1/?"><script>alert(2)</script>',
    )
    sandbox.payer_agrees(payment)

    page = browser.get(payment.pay_url)

    assert "<script" not in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_the_page_needs_nothing_from_elsewhere_and_allows_nothing(sandbox, browser):
    payment = sandbox.ask()
    page = browser.get(payment.pay_url)

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.text)
    assets = re.findall(r'(?:src|href)="([^"?][^"]*)"', page.text)
    for asset in assets:
        assert asset.startswith("/static/")
        assert browser.get(sandbox.url + asset).status_code == 200
