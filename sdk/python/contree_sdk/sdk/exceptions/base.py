"""The root of all errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

_E = TypeVar("_E", bound="ContreeError")


@dataclass
class ContreeError(Exception):
    """Anything that went wrong with this package or the server.

    The errors are dataclasses: what is known of a failure is in their fields.
    """

    _template: ClassVar[str | None] = None

    @property
    def message(self) -> str:
        """What happened, in words."""
        if self._template is None:
            return repr(self)
        return self._template.format(**self.__dict__)

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors pass between processes whole: `args` has only the message."""
        return _restored, (type(self), dict(self.__dict__))


def _restored(kind: type[_E], fields: dict[str, Any]) -> _E:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    Exception.__init__(error, error.message)
    return error
