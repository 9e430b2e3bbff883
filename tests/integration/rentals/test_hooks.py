"""A merchant's own system hears what its owner hears: posted, signed, again until it answers."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.db import hooks
from backend.payments import signing
from backend.services.hooks import RETRIES, publish
from backend.sweeps.hooks import LEASE, send_hooks
from tests.integration.rentals.conftest import World

KIND = "rental.requested"


@dataclass
class Receiver:
    """A shop's computer, on a socket of its own."""

    url: str
    status: int = 204
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.heard.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(told.status)
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Receiver(url=f"http://127.0.0.1:{server.server_port}/lendwatt")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


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

    def send(self, *, may_be_private: bool = True) -> int:
        return send_hooks(
            self.world.database, may_be_private=may_be_private, now=self.world.clock.now()
        )

    def messages(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self.world.people["owner"].sees(f"{self.path}/messages")[
            "items"
        ]
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
    while shop.send():
        pass
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
    assert shop.world.people["owner"].sees(shop.path.rsplit("/", 1)[0])["items"] == []
    assert "webhook.ended" in shop.world.people["owner"].news()
    assert {message["problem"] for message in shop.messages()} <= {"the webhook ended: gone"}


def test_an_address_at_which_nothing_arrives_for_days_is_ended(shop, receiver):
    receiver.status = 500
    for _ in range(len(RETRIES) + 1):
        shop.publish()
        while shop.send():
            pass
        shop.world.clock.time += timedelta(days=1)
    shop.world.people.clear()  # their tokens are over
    assert "webhook.ended" in shop.world.people["owner"].news()


def test_who_dies_with_a_message_in_hand_loses_it_to_the_next(shop, receiver):
    shop.publish()
    with shop.world.database.writing() as session:
        assert len(hooks.claim(session, now=shop.world.clock.now(), lease=LEASE, limit=9)) == 1
    assert shop.send() == 0
    shop.world.clock.time += LEASE
    assert shop.send() == 1
    assert len(receiver.heard) == 1


def test_an_address_inside_our_own_network_is_not_posted_to(shop, receiver):
    shop.publish()
    shop.send(may_be_private=False)
    assert receiver.heard == []
    assert shop.messages()[0]["last_answer"] == "the host's address is not a public one"


def test_a_message_can_be_sent_again_by_hand(shop, receiver):
    shop.publish()
    shop.send()
    owner = shop.world.people["owner"]
    owner.did(f"{shop.path}/messages/{shop.messages()[0]['id']}/send")
    shop.send()
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
    assert len(receiver.heard) == 2


def test_an_address_can_be_tried_and_ended(shop, receiver):
    owner = shop.world.people["owner"]
    owner.did(f"{shop.path}/ping")
    shop.send()
    assert json.loads(receiver.heard[0][1])["type"] == "webhook.ping"
    assert owner.did(f"{shop.path}/end")["ended_why"] == "by_owner"
    shop.publish()
    assert shop.send() == 0
    assert owner.post(f"{shop.path}/ping").status_code == 409


@pytest.mark.parametrize(
    "url", ["ftp://shop.example/x", "https://", "nonsense", "https://me:pw@shop.example/x"]
)
def test_an_address_that_cannot_be_told_is_refused(shop, url):
    answer = shop.world.people["owner"].post(
        f"/merchants/{shop.merchant_id}/webhooks", {"url": url}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_refused")


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
