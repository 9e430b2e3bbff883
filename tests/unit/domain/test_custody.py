import pytest

from backend.domain.custody import CUSTODY_MOVES, HOLDINGS, Holder, Proof, agrees, pass_on
from backend.domain.errors import Code, Refusal
from backend.domain.rental import CLOSED, MOVES, RentalState


def refusal(giver, taker, proof):
    with pytest.raises(Refusal) as refused:
        pass_on(giver=giver, taker=taker, proof=proof)
    return refused.value


@pytest.mark.parametrize("proof", [Proof.SCAN, Proof.CODE])
def test_a_bank_is_handed_over_by_scan_or_code(proof):
    assert pass_on(giver=Holder.STAFF, taker=Holder.RENTER, proof=proof) is Holder.RENTER


def test_nobodys_word_alone_hands_a_bank_over():
    refused = refusal(Holder.STAFF, Holder.RENTER, Proof.REASON)
    assert refused.code is Code.PROOF_REQUIRED
    assert refused.detail == {"giver": "staff", "taker": "renter", "proof": "reason"}


@pytest.mark.parametrize("proof", [Proof.CODE, Proof.REASON])
def test_a_bank_is_collected_by_its_scan_only(proof):
    assert refusal(Holder.RENTER, Holder.STAFF, proof).code is Code.PROOF_REQUIRED


def test_a_renter_does_not_take_a_bank_from_the_shelf():
    assert refusal(Holder.MERCHANT, Holder.RENTER, Proof.SCAN).code is Code.WRONG_HANDS


def test_what_was_sold_comes_back_to_its_merchant_or_to_nobody():
    assert [taker for giver, taker in CUSTODY_MOVES if giver is Holder.SOLD] == [Holder.MERCHANT]


def test_only_a_reason_makes_a_bank_lost_or_sold():
    gone = [
        proofs
        for (_, taker), proofs in CUSTODY_MOVES.items()
        if taker in {Holder.LOST, Holder.SOLD}
    ]
    assert gone
    assert all(proofs == {Proof.REASON} for proofs in gone)


def test_every_state_says_where_the_bank_is():
    assert set(HOLDINGS) == set(RentalState)
    assert all(HOLDINGS.values())


@pytest.mark.parametrize("state", CLOSED)
def test_no_rental_is_closed_while_the_renter_has_the_bank(state):
    assert not agrees(state, Holder.RENTER)


def test_each_move_of_a_rental_goes_along_with_a_way_for_the_bank():
    for (state, _), after in MOVES.items():
        for giver in HOLDINGS[state]:
            stays = giver in HOLDINGS[after]
            goes = any((giver, taker) in CUSTODY_MOVES for taker in HOLDINGS[after])
            assert stays or goes, (state, after)
