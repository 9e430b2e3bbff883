"""What no client of ours would write into an address is answered, not stumbled over.

The two databases stumble over different things: PostgreSQL takes no NUL in a text, and neither
takes a number of any length.
"""

from typing import Any
from urllib.parse import quote_from_bytes

import pytest

WORDS = {
    "nul": b"a\0b",
    "not UTF-8": b"\xff\xfe",
    "half a letter": "\ud83d".encode("utf-8", "surrogatepass"),
    "beyond 64 bits": b"9" * 20,
    "beyond 32 bits": b"99999999999",
    "negative": b"-1",
    "not finite": b"NaN",
    "long": b"x" * 5_000,
    "a letter of four bytes": "\U0001f50b".encode(),
}


WHOSE = {"operator": "operator", "merchants": "owner", "staff": "owner"}
"""Whose a part of the API is; all else is the renter's."""


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_an_odd_word_in_an_address_is_answered(world: Any, word: bytes) -> None:
    world.market()
    said = quote_from_bytes(word, safe="")
    broken = []
    for path, verbs in world.client.app.openapi()["paths"].items():
        for verb, about in verbs.items():
            named = about.get("parameters", [])
            address = path
            for each in named:
                if each["in"] == "path":
                    address = address.replace(f"{{{each['name']}}}", said)
            query = "&".join(f"{each['name']}={said}" for each in named if each["in"] == "query")
            if (address == path and not query) or "/stream" in path:
                continue
            person = world.people[WHOSE.get(path.split("/")[3], "renter")]
            answer = world.client.request(
                verb,
                f"{address}?{query}",
                headers={**person._headers(), "idempotency-key": "k"},
                json={},
            )
            if answer.status_code >= 500:
                broken.append((verb, path, answer.status_code))
    assert broken == []
