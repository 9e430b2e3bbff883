"""What the operator manages: who may lend and rent, which banks are safe, how orders end."""

import pytest

from tests.acceptance.city import HERE, City, problem
from tests.acceptance.processes import until

WHY = {"reason": "looked into"}


@pytest.mark.row("A1")
def test_the_operator_lets_merchants_in_stops_them_and_puts_them_right(each_city: City) -> None:
    city = each_city
    owner, operator = city.person(), city.operator
    merchant = city.merchant(owner)
    path = f"/operator/merchants/{merchant}"
    told = _found(operator.sees("/operator/merchants", status="pending"), merchant)
    assert told["status"] == "pending"
    assert operator.does(f"{path}/approve", WHY)["status"] == "approved"
    corrected = operator.does(f"{path}/correct", {**WHY, "name": "阿明充電"})
    assert corrected["name"] == "阿明充電"

    shop = city.shop()
    bank = city.bank(shop)
    rental = city.rental(shop, bank)
    operator.does(f"/operator/merchants/{shop.id}/suspend", WHY)
    assert not city.offer(bank)["rentable"]
    assert rental.now()["state"] == "requested", "what has begun goes on"
    operator.does(f"/operator/merchants/{shop.id}/resume", WHY)

    trace = operator.sees("/operator/audit", subject="merchant", subject_id=merchant)["items"]
    assert [each["action"] for each in trace] == ["merchant.correct", "merchant.approve"]
    assert trace[0]["after"]["name"] == "阿明充電"
    assert {(each["by_id"], each["why"]) for each in trace} == {(operator.id, WHY["reason"])}


@pytest.mark.row("A1")
def test_the_operator_stops_a_renter_and_lets_them_rent_again(city: City) -> None:
    bank, renter = city.bank(city.shop()), city.person()
    wish = {"qr_token": bank.label, **HERE}
    path = f"/operator/people/{renter.id}"
    assert city.operator.sees("/operator/people", phone=renter.phone)["items"][0]["id"] == renter.id
    city.operator.does(f"{path}/suspend", WHY)
    assert problem(renter.post("/rentals", wish))["facts"] == {"why": "account_suspended"}
    city.operator.does(f"{path}/resume", WHY)
    assert renter.does("/rentals", wish)["state"] == "requested"


@pytest.mark.row("A1")
def test_the_operator_recalls_a_bank_and_lets_it_back(city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    recall = {**WHY, "bank_ids": [bank.id]}
    assert city.operator.does("/operator/banks/recall", recall)["bank_ids"] == [bank.id]
    refused = city.offer(bank)
    assert [reason["code"] for reason in refused["why_not"]] == ["recalled"]
    city.operator.does(f"/operator/banks/{bank.id}/end-recall", WHY)
    assert not city.offer(bank)["rentable"], "first somebody looks at it"
    shop.owner.does(f"/merchants/{shop.id}/banks/{bank.id}/inspected")
    until(lambda: city.offer(bank)["rentable"], what="it may be rented again")


@pytest.mark.row("A1")
def test_the_operator_sees_every_order_and_ends_one_that_goes_no_further(city: City) -> None:
    rental = city.rental(city.shop()).start()
    path = f"/operator/rentals/{rental.id}"
    assert city.operator.sees(path)["state"] == "renting"
    of_the_shop = city.operator.sees("/operator/rentals", merchant_id=rental.shop.id)["items"]
    assert [each["id"] for each in of_the_shop] == [rental.id]
    asked = city.operator.sees(f"{path}/jobs")["items"][0]["offers"]
    assert {offer["state"] for offer in asked} == {"accepted", "taken"}
    assert city.operator.does(f"{path}/close", WHY)["state"] == "payment_due"
    bill = rental.now()["amount_minor"]
    note = city.operator.does(f"{path}/credit", {**WHY, "amount_minor": bill})
    assert note["amount_minor"] == bill
    until(lambda: rental.now()["state"] == "completed", what="nothing is owed")
    actions = [
        each["action"]
        for each in city.operator.sees("/operator/audit", subject_id=rental.id)["items"]
    ]
    assert actions[::-1] == ["rental.close", "rental.credit"]


def _found(page: dict[str, list[dict[str, str]]], merchant: str) -> dict[str, str]:
    return next(each for each in page["items"] if each["id"] == merchant)
