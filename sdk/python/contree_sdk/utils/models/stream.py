"""Bytes as they stand in JSON."""

from dataclasses import dataclass

from contree_sdk._text_enum import TextEnum


class StreamEncoding(TextEnum):
    """How bytes are written as text."""

    base64 = "base64"
    ascii = "ascii"


@dataclass
class StreamDescription:
    """Bytes as text, and whether there were more."""

    value: str
    encoding: StreamEncoding | str = StreamEncoding.base64
    truncated: bool = False
