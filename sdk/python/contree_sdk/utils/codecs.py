"""Between bytes and [`StreamDescription`], and from output to text."""

from base64 import b64decode, b64encode
from codecs import getincrementaldecoder

from contree_sdk.utils.models.stream import StreamDescription, StreamEncoding

_IncrementalDecoder = getincrementaldecoder("utf-8")


def io_decode(value: StreamDescription) -> bytes:
    """The bytes that are meant. An encoding of another name is taken as Latin-1."""
    encoding = value.encoding.lower()
    if encoding == StreamEncoding.base64:
        return b64decode(value.value)
    return value.value.encode("utf-8" if encoding == StreamEncoding.ascii else "latin-1")


def io_encode(
    value: str | bytes, encoding: StreamEncoding | str | None = None
) -> StreamDescription:
    """Text as it is, bytes as base64.

    Raises:
        KeyError: bytes with another encoding than base64.
    """
    if isinstance(value, str):
        return StreamDescription(value, StreamEncoding.ascii)
    encoding = encoding or StreamEncoding.base64
    if encoding != StreamEncoding.base64:
        raise KeyError(encoding)
    return StreamDescription(b64encode(value).decode("ascii"), encoding)


def text_of(output: bytes, truncated: bool = False) -> str:
    """Output as text; never raises.

    Bytes that are not UTF-8 become U+FFFD. Where the output was cut, the beginning of a character at
    its end is left out.
    """
    return _IncrementalDecoder("replace").decode(output, final=not truncated)


class TextDecoder:
    """Decodes output that comes in pieces; a character may be spread over several of them."""

    def __init__(self) -> None:
        self._decoder = _IncrementalDecoder("replace")

    def feed(self, piece: bytes) -> str:
        """The text that is complete with this piece."""
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """What is left at the end: nothing, or U+FFFD for a character that never came whole."""
        return self._decoder.decode(b"", final=True)
