"""A merchant's own system hears what its owner hears: posted, signed, again until it answers."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlmodel import update

from backend import sweeps
from backend.db import hooks
from backend.db.tables.hooks import WebhookRow
from backend.payments import signing
from backend.services.hooks import (
    FAILING_FOR,
    KEPT_FOR,
    PING_EVERY,
    REST_MAX,
    REST_MIN,
    RETRIES,
    failed,
    publish,
)
from backend.sweeps.hooks import LEASE, is_public, send_hooks
from tests.fakes.receiver import Receiver, listening
from tests.integration.rentals.conftest import World

KIND = "rental.requested"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as told:
        yield told


@dataclass
class Shop:
    """A merchant with a webhook."""

    world: World
    merchant_id: str
    webhook_id: str
    secret: str

    @property
    def path(self) -> str:
        return f"/merchants/{self.merchant_id}/webhooks/{self.webhook_id}"

    def publish(self, number: int = 1) -> None:
        with self.world.database.writing() as session:
            publish(
                session,
                merchant_id=self.merchant_id,
                kind=KIND,
                data={"number": number},
                now=self.world.clock.now(),
            )

    def add(self, url: str) -> str:
        path = f"/merchants/{self.merchant_id}/webhooks"
        made: str = self.world.people["owner"].did(path, {"url": url})["id"]
        return made

    def send(self, *, may_be_private: bool = True, attempt_s: float = 10) -> int:
        """Send until nothing is due; tells how many were tried."""
        sent = 0
        while send_hooks(
            self.world.database,
            may_be_private=may_be_private,
            now=self.world.clock.now(),
            attempt_s=attempt_s,
        ):
            sent += 1
        return sent

    def messages(self, webhook_id: str | None = None) -> list[dict[str, object]]:
        path = f"/merchants/{self.merchant_id}/webhooks/{webhook_id or self.webhook_id}/messages"
        found: list[dict[str, object]] = self.world.people["owner"].sees(path)["items"]
        return found


@pytest.fixture
def shop(world: World, receiver: Receiver) -> Shop:
    merchant_id = world.market()
    parts = world.client.app.state.parts
    demo = parts.settings.model_copy(update={"demo": True})  # loopback is let through
    world.client.app.state.parts = replace(parts, settings=demo)
    made = world.people["owner"].did(f"/merchants/{merchant_id}/webhooks", {"url": receiver.url})
    return Shop(world, merchant_id, made["id"], made["secret"])


def test_what_the_owner_hears_is_posted_and_signed(shop, receiver):
    shop.publish()
    assert shop.send() == 1
    [(headers, body)] = receiver.heard
    told = signing.verify(shop.secret, headers=headers, body=body, now=shop.world.clock.now())
    assert told.id == shop.messages()[0]["id"]
    assert json.loads(body)["type"] == KIND
    assert json.loads(body)["data"] == {"number": 1}
    assert shop.messages()[0]["delivered_at"] is not None
    assert shop.send() == 0


def test_a_request_of_a_renter_reaches_the_merchants_own_system(shop, receiver):
    shop.world.ask()
    shop.send()
    assert KIND in [json.loads(body)["type"] for _, body in receiver.heard]


def test_what_does_not_arrive_is_sent_again_later_with_the_same_id_and_bytes(shop, receiver):
    receiver.status = 503
    shop.publish()
    shop.send()
    assert shop.messages()[0]["last_answer"] == "status 503"
    assert shop.send() == 0, "not before its time"
    receiver.status = 200
    shop.world.clock.turn(seconds=RETRIES[0].total_seconds())
    assert shop.send() == 1
    (first, body), (second, again) = receiver.heard
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert first["webhook-signature"] != second["webhook-signature"], "signed anew, for its time"


def test_a_redirect_is_not_followed(shop, receiver):
    receiver.status = 307
    shop.publish()
    shop.send()
    assert len(receiver.heard) == 1
    assert shop.messages()[0]["last_answer"] == "status 307"


def test_who_says_gone_is_told_nothing_more_and_the_owner_hears_of_it(shop, receiver):
    receiver.status = 410
    shop.publish(1)
    shop.publish(2)
    shop.send()
    (lost,) = shop.world.people["owner"].sees(shop.path.rsplit("/", 1)[0])["items"]
    assert lost["ended_why"] == "gone"
    assert "webhook.ended" in shop.world.people["owner"].news()
    assert {message["problem"] for message in shop.messages()} <= {"the webhook ended: gone"}


def test_an_address_at_which_nothing_arrives_for_days_is_ended(shop, receiver):
    receiver.status = 500
    for _ in range(len(RETRIES) + 1):
        shop.publish()
        shop.send()
        shop.world.clock.time += timedelta(days=1)
    shop.world.people.clear()  # their tokens are over
    assert "webhook.ended" in shop.world.people["owner"].news()


def test_who_dies_with_a_message_in_hand_loses_it_to_the_next(shop, receiver):
    shop.publish()
    with shop.world.database.writing() as session:
        assert hooks.claim(session, now=shop.world.clock.now(), lease=LEASE) is not None
    assert shop.send() == 0
    shop.world.clock.time += LEASE
    assert shop.send() == 1
    assert len(receiver.heard) == 1


def test_an_address_inside_our_own_network_is_not_posted_to(shop, receiver):
    shop.publish()
    shop.send(may_be_private=False)
    assert receiver.heard == []
    assert shop.messages()[0]["last_answer"] == "the host's address is not a public one"


@pytest.mark.parametrize(
    "url",
    [
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        "https://shop.example/\x01",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://shop.example:99999/",
    ],
)
def test_an_address_that_nothing_can_be_posted_to_keeps_no_other_message_waiting(
    shop, receiver, url
):
    odd = shop.add("https://odd.example/")
    with shop.world.database.writing() as session:  # as if an older version had let it in
        session.exec(update(WebhookRow).where(WebhookRow.id == odd).values(url=url))
    shop.publish()
    assert shop.send() == 2
    assert len(receiver.heard) == 1
    assert shop.messages(odd)[0]["delivered_at"] is None
    assert shop.messages(odd)[0]["attempts"] == 1


@pytest.fixture
def slow() -> Iterator[str]:
    """A shop's computer that answers a byte at a time, and never to the end."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        caller, _ = server.accept()
        with caller:
            caller.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not ended.wait(0.05):
                try:
                    caller.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    ended.set()
    thread.join()
    server.close()


def test_an_answer_that_never_ends_is_given_up_at_a_deadline(shop, slow):
    dripping = shop.add(slow)
    shop.publish()
    began = time.monotonic()
    assert shop.send(attempt_s=0.4) == 2
    assert time.monotonic() - began < 5
    assert shop.messages(dripping)[0]["last_answer"] == "no answer within 0.4 s"


def test_a_look_up_that_never_ends_is_given_up_at_the_deadline(shop):
    shop.publish()
    goes_on = threading.Event()

    def look_up(_host: str, _port: int) -> list[str]:
        goes_on.wait(60)
        return []

    send_hooks(
        shop.world.database,
        may_be_private=True,
        now=shop.world.clock.now(),
        look_up=look_up,
        attempt_s=0.2,
    )
    goes_on.set()
    assert shop.messages()[0]["last_answer"] == "no answer within 0.2 s"


def test_however_many_messages_wait_for_one_address_they_keep_no_other_waiting(shop, receiver):
    for number in range(20):
        shop.publish(number)
    dead = shop.add("http://127.0.0.1:1/")
    other = shop.add(f"{receiver.url}/other")
    shop.publish(20)
    claimed = []
    with shop.world.database.writing() as session:
        while found := hooks.claim(session, now=shop.world.clock.now(), lease=LEASE):
            claimed.append(found[1].id)
    assert sorted(claimed) == sorted([shop.webhook_id, dead, other]), "each one at a time"


def test_an_address_that_fails_rests_the_longer_the_longer_it_fails(shop, receiver):
    receiver.status = 503
    shop.publish(1)
    shop.publish(2)
    assert shop.send() == 1, "the second waits as long as the address rests"
    shop.world.clock.time += REST_MIN
    assert shop.send() == 1
    shop.world.clock.time += timedelta(hours=1)
    assert shop.send() == 1
    shop.world.clock.time += REST_MAX - timedelta(seconds=1)
    assert shop.send() == 0
    receiver.status = 200
    shop.world.clock.time += timedelta(seconds=1)
    assert shop.send() > 0


def test_messages_are_forgotten_after_a_month(shop):
    shop.publish()
    shop.send()
    shop.world.clock.time += KEPT_FOR + timedelta(days=1)
    shop.world.people.clear()  # their tokens are over
    parts = shop.world.client.app.state.parts
    sweeps.forget(shop.world.database, parts.settings, now=shop.world.clock.now())
    assert shop.messages() == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_an_address_that_leads_into_a_network_of_ours_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


def test_a_message_can_be_sent_again_by_hand(shop, receiver):
    shop.publish()
    shop.send()
    owner = shop.world.people["owner"]
    owner.did(f"{shop.path}/messages/{shop.messages()[0]['id']}/send")
    shop.send()
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
    assert len(receiver.heard) == 2


def test_a_message_sent_again_while_it_is_on_its_way_comes_soon(shop):
    shop.publish()
    now = shop.world.clock.now()
    with shop.world.database.writing() as session:
        found = hooks.claim(session, now=now, lease=LEASE)
        assert found is not None
        id_ = found[0].id
    shop.world.people["owner"].did(f"{shop.path}/messages/{id_}/send")
    with shop.world.database.writing() as session:
        failed(session, *hooks.claimed(session, id_), told="status 503", is_gone=False, now=now)
    with shop.world.database.writing() as session:
        assert hooks.message(session, id_, webhook_id=shop.webhook_id).due_at == now + RETRIES[0]


def test_an_address_is_tried_once_and_not_all_the_time(shop, receiver):
    receiver.status = 500
    owner = shop.world.people["owner"]
    owner.did(f"{shop.path}/ping")
    answer = owner.post(f"{shop.path}/ping")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert answer.json()["facts"]["retry_after_s"] == PING_EVERY.total_seconds()
    assert shop.send() == 1
    assert shop.messages()[0]["problem"] == "status 500"
    shop.world.clock.time += FAILING_FOR
    assert shop.send() == 0
    shop.world.people.clear()  # their tokens are over
    shop.publish()
    assert shop.send() == 1
    assert shop.messages()[0]["problem"] is None, "a ping is not the beginning of a failure"
    assert shop.world.people["owner"].did(f"{shop.path}/ping")["problem"] is None


def test_an_address_can_be_tried_and_ended(shop, receiver):
    owner = shop.world.people["owner"]
    owner.did(f"{shop.path}/ping")
    shop.send()
    assert json.loads(receiver.heard[0][1])["type"] == "webhook.ping"
    assert owner.did(f"{shop.path}/end")["ended_why"] == "by_owner"
    assert owner.sees(shop.path.rsplit("/", 1)[0])["items"] == []
    shop.publish()
    assert shop.send() == 0
    assert owner.post(f"{shop.path}/ping").status_code == 409


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example/x",
        "https://",
        "nonsense",
        "https://me:pw@shop.example/x",
        "https://shop.example:0/x",
        "https://shop.example:99999/x",
        "https://a..b/x",
        f"https://{'a' * 64}.example/x",
        "https://shop .example/x",
        "https://shop%0a.example/x",
        "https://a\\b/x",
        "https://\uff11\uff12\uff17.0.0.1/x",
        "https://[fe80::1%25lo]/x",
        "https://shop.example/\x01x",
    ],
)
def test_an_address_that_cannot_be_told_is_refused(shop, url):
    answer = shop.world.people["owner"].post(
        f"/merchants/{shop.merchant_id}/webhooks", {"url": url}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_refused")


def test_an_address_may_be_in_any_script(shop):
    shop.add("https://例え.jp/店?q=é")
    shop.add("https://[2606:4700::1111]:8443/")


def test_the_same_address_is_added_once_and_five_are_enough(shop, receiver):
    owner = shop.world.people["owner"]
    path = f"/merchants/{shop.merchant_id}/webhooks"
    assert owner.post(path, {"url": receiver.url}).json()["facts"]["why"] == "webhook_is_there"
    for number in range(4):
        owner.did(path, {"url": f"https://shop.example/{number}"})
    assert owner.post(path, {"url": "https://shop.example/5"}).status_code == 422


def test_a_strangers_webhooks_are_not_there(shop):
    other = shop.world.people["other"]
    assert other.get(f"{shop.path}/messages").status_code == 404
    assert other.post(f"{shop.path}/end").status_code == 404


def test_the_secret_is_shown_once(shop):
    assert "secret" not in shop.world.people["owner"].sees(shop.path.rsplit("/", 1)[0])["items"][0]
