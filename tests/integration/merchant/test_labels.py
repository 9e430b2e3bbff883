"""Label sheets: a picture of each bank's own address, and nothing in it runs."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
import segno

from backend.db.tables.market import BankRow
from backend.domain.custody import Holder
from backend.services.labels import PER_SHEET, label_code
from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import World

SVG = "{http://www.w3.org/2000/svg}"


def sheet(shop: Shop, **query: Any) -> tuple[ET.Element, dict[str, str]]:
    answer = shop.owner.get(shop.path("/labels.svg"), **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/svg+xml"
    return ET.fromstring(answer.text), dict(answer.headers)  # noqa: S314 - our own


def texts(drawn: ET.Element) -> list[str]:
    return [text.text or "" for text in drawn.iter(f"{SVG}text")]


def test_a_label_has_the_name_the_number_a_short_code_and_the_qr_of_its_own_address(
    world: World, shop: Shop
) -> None:
    drawn, headers = sheet(shop)
    token = world.tokens["LW-0001"]

    assert texts(drawn) == ["阿明", "LW-0001", label_code(token)]
    qr = [path.get("d") for path in drawn.iter(f"{SVG}path")]
    url = shop.bank()["qr_url"]
    assert url.endswith(f"/b/{token}")
    expected = segno.make(url, error="m", micro=False).svg_inline(border=2, omitsize=True)
    assert qr == [ET.fromstring(expected)[0].get("d")]  # noqa: S314
    assert headers["lendwatt-pages"] == "1"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_short_code_tells_nothing_of_the_token_and_changes_with_it() -> None:
    one, other = label_code("token-one"), label_code("token-two")
    assert one != other
    assert len(one) == len("ABC-DEF")


def test_sheets_are_of_a4_with_three_by_eight_labels_each(world: World) -> None:
    ids = tuple(f"LW-{number:04}" for number in range(1, PER_SHEET + 3))
    shop = Shop(world=world, id=world.market(banks=ids))
    first, headers = sheet(shop)
    second, _ = sheet(shop, page=2)

    assert (first.get("width"), first.get("height")) == ("210mm", "297mm")
    assert headers["lendwatt-pages"] == "2"
    assert texts(first)[1::3] == list(ids[:PER_SHEET])
    assert texts(second)[1::3] == list(ids[PER_SHEET:])
    assert code_of(shop.owner.get(shop.path("/labels.svg"), page=3)) == (404, "not_found")
    chosen, _ = sheet(shop, bank=["LW-0007", "LW-0003"])
    assert texts(chosen)[1::3] == ["LW-0003", "LW-0007"]


def test_a_bank_that_is_gone_gets_no_label_unless_it_is_named(world: World) -> None:
    shop = Shop(world=world, id=world.market(banks=("LW-0001", "LW-0002")))
    with world.database.writing() as session:
        bank = session.get(BankRow, "LW-0001")
        assert bank is not None
        bank.holder, bank.is_offered = Holder.LOST, False
        session.add(bank)

    assert texts(sheet(shop)[0])[1::3] == ["LW-0002"]
    assert texts(sheet(shop, bank="LW-0001")[0])[1::3] == ["LW-0001"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</scr…"),
        ("]]>&amp;\"'", "]]>&amp;\"'"),
        ("a\x01b\u2028c", "abc"),
        ("充電" * 20, "充電充電充電充電充電…"),
    ],
)
def test_a_name_is_plain_text_whatever_it_says(shop: Shop, name: str, shown: str) -> None:
    shop.does("", {"name": name})
    drawn, _ = sheet(shop)

    assert texts(drawn)[0] == shown
    assert not list(drawn.iter(f"{SVG}script"))


def test_nobody_elses_labels_are_drawn(shop: Shop) -> None:
    other = shop.world.people["other"]
    assert code_of(other.get(shop.path("/labels.svg"))) == (404, "not_found")
    answer = shop.owner.get(shop.path("/labels.svg"), bank=["LW-0001", "LW-9999"])
    assert code_of(answer) == (404, "not_found")
