"""The languages that people read here."""

from enum import StrEnum


class Lang(StrEnum):
    """Everything a person reads exists in each."""

    ZH = "zh"
    EN = "en"
