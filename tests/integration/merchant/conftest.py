"""The world of the rentals' tests, seen from behind the counter."""

from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response

from backend.ids import new_id
from tests.integration.rentals.conftest import Person, World, world

__all__ = ["Shop", "shop", "world"]


@dataclass
class Shop:
    """A merchant with one bank, and its owner's hands."""

    world: World
    id: str

    @property
    def owner(self) -> Person:
        return self.world.people["owner"]

    def path(self, rest: str = "") -> str:
        return f"/merchants/{self.id}{rest}"

    def does(self, rest: str, body: dict[str, Any] | None = None) -> Any:
        return self.owner.did(self.path(rest), body)

    def sees(self, rest: str = "", **query: Any) -> Any:
        return self.owner.sees(self.path(rest), **query)

    def refused(self, rest: str, body: dict[str, Any] | None = None) -> Any:
        """Post, and expect a no."""
        answer = self.owner.post(self.path(rest), body)
        assert answer.is_client_error, answer.text
        return answer.json()

    def bank(self, bank: str = "LW-0001") -> Any:
        return self.sees(f"/banks/{bank}")

    def in_chinese(self, method: str, rest: str, **how: Any) -> Response:
        """Ask as somebody who reads Chinese."""
        headers = {
            "authorization": f"Bearer {self.owner.token}",
            "accept-language": "zh",
            "idempotency-key": new_id(),
            **how.pop("headers", {}),
        }
        path = f"/api/v1{self.path(rest)}"
        return self.world.client.request(method, path, headers=headers, **how)


@pytest.fixture
def shop(world: World) -> Shop:
    return Shop(world=world, id=world.market())


def code_of(answer: Response) -> tuple[int, str]:
    """The status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]
