"""Enumerations whose members are text, alike on every Python (`enum.StrEnum` begins with 3.11)."""

from enum import Enum


class TextEnum(str, Enum):
    """Members are strings: `str()`, formatting and comparison give the value."""

    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, spec: str) -> str:
        return str.__format__(self, spec)
