from backend.demo.city import BANKS, PLANS, bank_ids
from backend.domain.money import Currency, Minor
from backend.domain.tariff import BillingStart, Rounding, Terms, lint
from gateway.protocol import is_bank_id


def terms_of(given: dict[str, object]) -> Terms:
    return Terms(
        currency=Currency.CNY,
        billing_start=BillingStart(str(given["billing_start"])),
        rounding=Rounding(str(given["rounding"])),
        **{
            name: Minor(int(str(value)))
            for name, value in given.items()
            if name not in {"billing_start", "rounding"}
        },
    )


def test_each_merchant_shows_another_start_of_billing() -> None:
    terms = [terms_of(dict(plan.terms)) for plan in PLANS]
    assert {each.billing_start for each in terms} == set(BillingStart)
    assert [lint(each) for each in terms] == [()] * len(PLANS)


def test_the_storys_tariff_has_an_amount_after_one_second() -> None:
    terms = terms_of(dict(PLANS[0].terms))
    assert (terms.free_s, terms.rounding) == (0, Rounding.CEIL)


def test_banks_are_shared_out_and_none_is_named_twice() -> None:
    ids = [bank_id for each in bank_ids(BANKS).values() for bank_id in each]
    assert len(ids) == len(set(ids)) == BANKS
    assert all(is_bank_id(bank_id) for bank_id in ids)
    assert [len(each) for each in bank_ids(4).values()] == [2, 1, 1]
