"""What the API promises everybody: done once, told to its owner only, refused in words."""

from typing import Any, Final

import httpx

from tests.acceptance.city import HERE, TERMS, City, Person, problem


def test_the_same_key_and_body_get_the_same_bytes_and_one_effect(city: City) -> None:
    bank, renter = city.bank(city.shop()), city.person()
    body = {"qr_token": bank.label, **HERE}
    first, again = (renter.post("/rentals", body, key="once") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert len(renter.sees("/rentals")["items"]) == 1
    other = problem(renter.post("/rentals", {**body, "address": "elsewhere"}, key="once"))
    assert (other["status"], other["code"]) == (422, "idempotency_key_reused")


SOMEBODYS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("get", "/rentals/{rental_id}", None),
    ("post", "/rentals/{rental_id}/cancel", None),
    ("post", "/rentals/{rental_id}/code", None),
    ("post", "/rentals/{rental_id}/scan", "scan"),
    ("post", "/rentals/{rental_id}/deposit", {"accepted_disclosure": True}),
    ("post", "/rentals/{rental_id}/return", HERE),
    ("post", "/rentals/{rental_id}/payment", None),
    ("get", "/payments/{payment_id}", None),
    ("get", "/merchants/{merchant_id}/banks", None),
    ("post", "/merchants/{merchant_id}/banks", {"bank_id": "LW-FOREIGN", "model": "LW-10K-A"}),
    ("post", "/merchants/{merchant_id}/banks/{bank_id}/secret", None),
    ("post", "/merchants/{merchant_id}/banks/{bank_id}/receive", {"reason": "mine now"}),
    ("get", "/merchants/{merchant_id}/tariffs", None),
    ("post", "/merchants/{merchant_id}/tariffs", TERMS),
    ("get", "/merchants/{merchant_id}/staff", None),
    ("post", "/merchants/{merchant_id}/staff", {"phone": "+8613912345678", "name": "me"}),
    ("get", "/merchants/{merchant_id}/rentals", None),
    ("get", "/merchants/{merchant_id}/rentals/{rental_id}", None),
    ("post", "/staff/jobs/{job_id}/accept", None),
    ("post", "/staff/jobs/{job_id}/set-out", "scan"),
    ("post", "/staff/jobs/{job_id}/hand-over", "scan"),
    ("post", "/staff/jobs/{job_id}/collect", "scan"),
    ("post", "/staff/jobs/{job_id}/check-in", "scan"),
)
"""Routes along one rental; the matrix of the integration tests has all there are."""


def test_what_is_somebody_elses_is_answered_like_what_is_not_there(city: City) -> None:
    rental = city.rental(city.shop()).start()
    rental.ask_return()
    rental.collect()
    rental.ask_bill()
    job = rental.shop.staff.sees("/staff/jobs")["items"][0]
    ids = {
        "rental_id": rental.id,
        "payment_id": rental.now()["payments"][0]["id"],
        "merchant_id": rental.shop.id,
        "bank_id": rental.bank.id,
        "job_id": job["id"],
    }
    missing = {name: value[:-4] + "0000" for name, value in ids.items()}
    stranger = city.shop().owner  # a merchant and a renter too, elsewhere
    for method, path, body in SOMEBODYS:
        sent = {"qr_token": rental.bank.label} if body == "scan" else body
        foreign = _asked(stranger, method, path.format(**ids), sent)
        absent = _asked(stranger, method, path.format(**missing), sent)
        assert foreign["status"] == 404, (method, path, foreign)
        assert _without_path(foreign) == _without_path(absent)


def _asked(who: Person, method: str, path: str, body: Any) -> dict[str, Any]:
    return problem(who.get(path) if method == "get" else who.post(path, body))


def _without_path(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "instance"}


def test_without_signing_in_nothing_of_anybodys_is_told(city: City) -> None:
    for path in ("/me", "/rentals", "/staff/jobs", "/merchants/mine", "/operator/merchants"):
        told = problem(city.stranger(path))
        assert (told["status"], told["code"]) == (401, "unauthenticated")


def test_only_an_operator_approves(city: City) -> None:
    owner = city.person()
    path = f"/operator/merchants/{city.merchant(owner)}/approve"
    assert owner.refused(path, {"reason": "I say so"})["code"] == "forbidden"


def test_a_refusal_says_in_chinese_and_english_what_is_wrong_and_what_to_do(city: City) -> None:
    shop, renter = city.shop(), city.person()
    bank = city.bank(shop)
    city.rental(shop, bank)
    body = {"qr_token": bank.label, **HERE}
    told = {lang: _refused_in(renter, lang, body) for lang in ("zh", "en")}
    for lang, answer in told.items():
        assert answer.headers["content-language"] == lang
        assert (answer.status_code, answer.json()["code"]) == (409, "bank_unavailable")
        assert answer.json()["facts"] == {"why": "reserved"}
    zh, en = told["zh"].json(), told["en"].json()
    assert en["title"].isascii()
    assert not zh["title"].isascii()
    assert zh["detail"] != en["detail"]


def _refused_in(renter: Person, lang: str, body: dict[str, Any]) -> httpx.Response:
    answer = renter.post("/rentals", body, lang=lang)
    problem(answer)
    return answer
