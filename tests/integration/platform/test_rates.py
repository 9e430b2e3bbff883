"""Limits that exist by default: a caller's share of each class, others unharmed."""

import pytest
from starlette.testclient import TestClient

from backend.api.rates import Kind, RateLimit, Shares, kind_of
from backend.services.signin import Tokens
from tests.integration.platform.conftest import HandClock

TOKENS = Tokens(
    secret="a secret for tests only, long enough 0123456789", access_s=10**9, page_s=10**9
)


async def _yes(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def client(*, address="203.0.113.1", app=None, **shares):
    limited = app or RateLimit(
        _yes,
        shares=Shares(per_minute={kind: shares.get(kind, 1000) for kind in Kind}),
        tokens=TOKENS,
        clock=HandClock(),
        shown=lambda _, problem: problem,
    )
    return TestClient(limited, client=(address, 1234))


def bearer(person):
    token = TOKENS.issue(person_id=person, sign_in_id="one", now=HandClock().now())
    return {"authorization": f"Bearer {token}"}


def statuses(client, count, **asked):
    return [client.get("/api/v1/rentals", **asked).status_code for _ in range(count)]


def test_who_asks_too_often_is_told_when_to_come_back():
    asks = client(read=3)
    assert statuses(asks, 4) == [204, 204, 204, 429]
    refusal = asks.get("/api/v1/rentals")
    assert 1 <= int(refusal.headers["retry-after"]) <= 120
    assert refusal.json()["code"] == "too_many_requests"
    assert refusal.headers["content-type"] == "application/problem+json"


def test_another_address_is_unharmed():
    one = client(read=1)
    assert statuses(one, 2) == [204, 429]
    assert statuses(client(address="203.0.113.2", app=one.app), 1) == [204]


def test_each_class_has_its_own_share():
    asks = client(read=1)
    assert statuses(asks, 2) == [204, 429]
    assert asks.post("/api/v1/rentals").status_code == 204


def test_two_people_behind_one_address_do_not_starve_each_other():
    asks = client(read=2)
    assert statuses(asks, 3, headers=bearer("ann")) == [204, 204, 429]
    assert statuses(asks, 2, headers=bearer("ben")) == [204, 204]


def test_a_person_has_one_share_from_wherever_they_ask():
    here = client(read=1)
    elsewhere = client(address="203.0.113.9", app=here.app)
    assert statuses(here, 1, headers=bearer("ann")) == [204]
    assert statuses(elsewhere, 1, headers=bearer("ann")) == [429]


def test_invented_tokens_are_an_address_like_any_other():
    asks = client(read=2)
    forged = [statuses(asks, 1, headers={"authorization": f"Bearer {n}"})[0] for n in range(3)]
    assert forged == [204, 204, 429]


def test_a_home_on_ipv6_is_one_caller():
    one = client(address="2001:db8::1", read=1)
    assert statuses(one, 1) == [204]
    assert statuses(client(address="2001:db8::2", app=one.app), 1) == [429]


def test_homes_on_ipv4_are_told_apart_where_a_socket_is_for_both():
    one = client(address="::ffff:203.0.113.1", read=1)
    assert statuses(one, 2) == [204, 429]
    assert statuses(client(address="::ffff:203.0.113.2", app=one.app), 1) == [204]
    assert statuses(client(address="203.0.113.1", app=one.app), 1) == [429]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/healthz", None),
        ("GET", "/metrics", None),
        ("GET", "/", Kind.READ),
        ("GET", "/api/v1/stream", Kind.STREAM),
        ("POST", "/api/v1/auth/codes", Kind.SIGN_IN),
        ("POST", "/api/v1/webhooks/sandbox", Kind.WEBHOOK),
        ("POST", "/api/v1/merchants/m/webhooks/w/ping", Kind.WRITE),
        ("DELETE", "/api/v1/rentals", Kind.WRITE),
    ],
)
def test_a_request_falls_into_a_class(method, path, kind):
    assert kind_of(method, path) is kind


def test_the_app_has_limits_by_default(app):
    asks = TestClient(app, base_url="http://test/api/v1")
    answers: list[int] = []
    while 429 not in answers and len(answers) < 130:  # the window slides: it may let some more by
        answers.append(asks.post("auth/tokens", json={}).status_code)
    assert set(answers[:60]) == {422}
    assert answers[-1] == 429
