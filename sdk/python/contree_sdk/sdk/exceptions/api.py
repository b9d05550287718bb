"""Requests that did not end well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from contree_sdk.sdk.exceptions.base import ContreeError


@dataclass
class RequestInfo:
    """A request."""

    url: str | None = None
    method: str | None = None


@dataclass
class ResponseInfo:
    """An answer, apart from its body."""

    headers: dict[str, str] | None = field(default=None, repr=False)
    """Names in lower case, for example `retry-after`."""


@dataclass
class ContreeApiError(ContreeError):
    """A request that failed, in whatever way."""

    request: RequestInfo | None = None
    """What was asked; None when nothing was sent."""
    response: ResponseInfo | None = None
    """None when there was no answer."""


@dataclass
class ApiTimeoutError(ContreeApiError):
    """The server did not answer within `ContreeConfig.transport_timeout`."""

    timeout_type: Literal["connect", "read", "write", "pool"] | str | None = None


@dataclass
class ContreeTransportError(ContreeApiError):
    """The server cannot be reached, or the connection broke."""

    error: str | None = None
    _raw: Exception | None = field(default=None, repr=False)


@dataclass
class ApiStatusCodeError(ContreeApiError):
    """The server refused a request. Statuses that code decides by have classes of their own."""

    status: int | None = None
    """The HTTP status."""
    error: str | None = None
    """The server's reason."""


@dataclass
class NotFoundError(ApiStatusCodeError):
    """There is no such image, file, operation or path, or it is someone else's."""

    status: int | None = 404


@dataclass
class TooManyRequestsError(ApiStatusCodeError):
    """The server is full, and still was when waiting was given up."""

    status: int | None = 429


@dataclass
class ForbiddenError(ApiStatusCodeError):
    """The token lacks a permission."""

    status: int | None = 403

    @property
    def message(self) -> str:
        reason = f": {self.error}" if self.error else ""
        return f"You do not have permission to perform this action{reason}"


@dataclass
class UnprocessableEntityError(ApiStatusCodeError):
    """What was asked makes no sense there, for example reading a folder."""

    status: int | None = 422
