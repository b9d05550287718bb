"""What a search finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class GrepSubmatch:
    """A part of a line that a pattern matches."""

    text: str
    start: int
    """Its first byte, within the line's UTF-8."""
    end: int
    """The byte after its last."""


@dataclass(frozen=True)
class GrepMatch:
    """A line."""

    path: str
    """The file, absolute inside the image."""
    line_number: int
    """From 1."""
    line_text: str
    """The line with its end, cut at 4096 bytes."""
    submatches: tuple[GrepSubmatch, ...]
    """Empty for lines of context."""
    type: Literal["match", "context"]

    @property
    def is_match(self) -> bool:
        """Whether it is not only context."""
        return self.type == "match"


@dataclass(frozen=True)
class GrepResult:
    """All lines that were found; iterating goes through them."""

    matches: tuple[GrepMatch, ...]
    """In the order of files, and of lines in each."""
    truncated: bool
    """Whether there may be more: a bound on matches or on time was reached."""

    def __iter__(self) -> Iterator[GrepMatch]:
        return iter(self.matches)

    def __len__(self) -> int:
        return len(self.matches)

    @classmethod
    def _of(cls, answer: dict[str, Any]) -> GrepResult:
        """From the server's JSON."""
        return cls(
            tuple(
                GrepMatch(
                    path=match["path"],
                    line_number=match["line_number"],
                    line_text=match["line_text"],
                    submatches=tuple(
                        GrepSubmatch(part.get("text", ""), part["start"], part["end"])
                        for part in match["submatches"]
                    ),
                    type=match["type"],
                )
                for match in answer["matches"]
            ),
            answer["truncated"],
        )
