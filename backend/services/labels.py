"""Sheets of labels to print and stick on banks: A4, three by eight, as SVG.

A label's QR holds an address with the bank's unguessable token, never its number alone. Beside
it stand the number, a short code by which people tell an old label from the one in force, and
the merchant's name, as plain text.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

import segno
from sqlmodel import Session

from backend.db import market
from backend.db.tables.market import BankRow, MerchantRow
from backend.domain.custody import Holder
from backend.domain.errors import Code, Refusal
from backend.principal import Principal
from backend.services.market import own

SHEET_MM: Final = (210, 297)
ACROSS, DOWN = 3, 8
PER_SHEET: Final = ACROSS * DOWN
_LABEL_MM: Final = (SHEET_MM[0] / ACROSS, SHEET_MM[1] / DOWN)
_QR_MM: Final = 30
_MARGIN_MM: Final = 3.5
_NAME_CELLS: Final = 22
"""Half widths that a name has room for: a Chinese character takes two."""
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_CHARS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet of labels."""

    svg: str
    page: int
    pages: int


def sheet(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_ids: Sequence[str],
    page: int,
    public_url: str,
) -> Sheet:
    """Draw one sheet of the labels of these banks, or of all that the merchant has, by number.

    Raises:
        Refusal: NOT_FOUND, also if one of the banks is not this merchant's, or there is no
            such page.
    """
    merchant = own(session, who, merchant_id)
    banks = market.banks(session, merchant.id)
    if bank_ids:
        banks = [bank for bank in banks if bank.id in set(bank_ids)]
        if len(banks) < len(set(bank_ids)):
            raise Refusal(Code.NOT_FOUND)
    else:
        banks = [bank for bank in banks if bank.holder not in {Holder.LOST, Holder.SOLD}]
    pages = max(1, -(-len(banks) // PER_SHEET))
    if page > pages:
        raise Refusal(Code.NOT_FOUND)
    shown = banks[(page - 1) * PER_SHEET : page * PER_SHEET]
    return Sheet(svg=draw(shown, merchant, public_url=public_url), page=page, pages=pages)


def label_code(qr_token: str) -> str:
    """A label's short code: it tells nothing of the token, and another label has another."""
    digest = int.from_bytes(hashlib.sha256(qr_token.encode()).digest()[:4])
    marks = "".join(_ALPHABET[digest >> 5 * place & 31] for place in range(_CODE_CHARS))
    return f"{marks[:3]}-{marks[3:]}"


def draw(banks: Sequence[BankRow], merchant: MerchantRow, *, public_url: str) -> str:
    """Draw one sheet; millimetres are its units."""
    width, height = SHEET_MM
    labels = "".join(
        _label(bank, merchant, place=place, public_url=public_url)
        for place, bank in enumerate(banks)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#000">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{labels}</svg>\n'
    )


def _label(bank: BankRow, merchant: MerchantRow, *, place: int, public_url: str) -> str:
    row, column = divmod(place, ACROSS)
    width, height = _LABEL_MM
    code = segno.make(f"{public_url}/b/{bank.qr_token}", error="m", micro=False)
    drawn = code.svg_inline(border=2, omitsize=True)
    right = _MARGIN_MM + _QR_MM + 1
    return (
        f'<g transform="translate({column * width:.3f} {row * height:.3f})">'
        f'<svg x="{_MARGIN_MM}" y="{_MARGIN_MM}" width="{_QR_MM}" height="{_QR_MM}">{drawn}</svg>'
        f'<text x="{right}" y="10" font-size="3">{escape(_fitting(merchant.name))}</text>'
        f'<text x="{right}" y="19" font-size="{_size(bank.id)}" font-weight="bold">'
        f"{escape(bank.id)}</text>"
        f'<text x="{right}" y="28" font-size="4" font-family="monospace">'
        f"{label_code(bank.qr_token)}</text></g>"
    )


def _size(bank_id: str) -> float:
    """Millimetres of type that let a number fit beside its code."""
    room = _LABEL_MM[0] - _MARGIN_MM - _QR_MM - 3
    return round(min(5.0, room / (0.7 * len(bank_id))), 2)


def _fitting(name: str) -> str:
    """A name without what XML cannot hold, cut to the room it has."""
    told = "".join(mark for mark in name if mark.isprintable())
    width = 0
    for place, mark in enumerate(told):
        width += 2 if east_asian_width(mark) in "WF" else 1
        if width > _NAME_CELLS:
            return told[: place - 1] + "…"
    return told
