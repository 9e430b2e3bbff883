"""A pseudonym is no phone; what is told keeps all but places and people's own words."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backend.domain.erasure import PSEUDONYM_CHARS, masked, pseudonym, without_places
from backend.ids import new_id


def test_a_pseudonym_fits_where_a_phone_was_and_is_none() -> None:
    made = pseudonym(new_id())
    assert len(made) == PSEUDONYM_CHARS
    assert not re.fullmatch(r"\+[1-9]\d{6,14}", made)


def test_two_people_have_two_pseudonyms() -> None:
    assert len({pseudonym(new_id()) for _ in range(1000)}) == 1000


def test_a_masked_name_is_as_long_and_tells_its_first_letter() -> None:
    assert [masked(name) for name in ("王小明", "A", "")] == ["王**", "A", ""]


def test_places_go_wherever_they_stand_and_the_rest_stays() -> None:
    told = {
        "rental_id": "R",
        "place": {"lat": 31.2, "lng": 121.4, "address": "5 號"},
        "stops": [{"address": "6 號", "leg_m": 7}],
    }
    assert without_places(told) == {
        "rental_id": "R",
        "place": {"lat": 0.0, "lng": 0.0, "address": ""},
        "stops": [{"address": "", "leg_m": 7}],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_blanking_twice_is_blanking_once(told: Any) -> None:
    assert without_places(without_places(told)) == without_places(told)
