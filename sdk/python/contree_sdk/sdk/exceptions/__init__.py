"""Errors. All of them are `ContreeError`; wrong arguments are Python's ValueError and TypeError, and
local files that are not there OSError."""

from contree_sdk.sdk.exceptions.api import (
    ApiStatusCodeError,
    ApiTimeoutError,
    ContreeApiError,
    ContreeTransportError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnprocessableEntityError,
)
from contree_sdk.sdk.exceptions.base import ContreeError
from contree_sdk.sdk.exceptions.image import (
    ContreeImageEmptyRequestError,
    ContreeImageImpossibleStateError,
    ContreeImageNotFoundError,
    ContreeImageParametersError,
    ContreeImageStateError,
    DisposableImageRunError,
)
from contree_sdk.sdk.exceptions.operation import (
    CancelledOperationError,
    FailedOperationError,
    OperationError,
    OperationTimedOutError,
    WrongOperationTypeError,
)
from contree_sdk.sdk.exceptions.other import UnknownContreeError

__all__ = [
    "ApiStatusCodeError",
    "ApiTimeoutError",
    "CancelledOperationError",
    "ContreeApiError",
    "ContreeError",
    "ContreeImageEmptyRequestError",
    "ContreeImageImpossibleStateError",
    "ContreeImageNotFoundError",
    "ContreeImageParametersError",
    "ContreeImageStateError",
    "ContreeTransportError",
    "DisposableImageRunError",
    "FailedOperationError",
    "ForbiddenError",
    "NotFoundError",
    "OperationError",
    "OperationTimedOutError",
    "TooManyRequestsError",
    "UnknownContreeError",
    "UnprocessableEntityError",
    "WrongOperationTypeError",
]
