"""Runs and imports that did not end well.

A command that exits with another code than 0, is killed or runs out of time is no error: its result
says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from contree_sdk.sdk.exceptions.base import ContreeError


@dataclass
class OperationError(ContreeError):
    """Something about an operation."""

    operation_uuid: UUID

    _template = "Something went wrong with the operation {operation_uuid}"


@dataclass
class WrongOperationTypeError(OperationError):
    """An import was taken for a run, or the other way round."""

    expected: Any
    actual: Any

    _template = "Wrong operation type {expected} != {actual}"


@dataclass
class CancelledOperationError(OperationError):
    """Someone cancelled it."""

    _template = "Operation {operation_uuid} was cancelled"


@dataclass
class FailedOperationError(OperationError):
    """It could not be done: the program or the image to import is not there, for example."""

    error: str
    """The server's reason."""

    _template = "Operation {operation_uuid} has failed: {error}"


@dataclass
class OperationTimedOutError(OperationError):
    """It did not end, or did not even begin, in the time it was given. It has been cancelled."""

    _template = "Operation {operation_uuid} has timed out"
