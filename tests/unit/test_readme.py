"""What the README shows is what the code says."""

from pathlib import Path

from backend.domain.rental import diagram

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_diagram_is_printed_from_the_table() -> None:
    assert diagram().strip() in README


def test_every_picture_is_there() -> None:
    shown = {line.split("(", 1)[1].split(")", 1)[0] for line in README.split("![")[1:]
             for line in [line.split("]", 1)[1]]}  # fmt: skip
    missing = [path for path in shown if not (Path(__file__).parents[2] / path).exists()]
    assert missing == []
