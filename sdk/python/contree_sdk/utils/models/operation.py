"""Statuses of operations."""

from contree_sdk._text_enum import TextEnum


class OperationStatus(TextEnum):
    """How far an operation is. The last three are ends."""

    ASSIGNED = "ASSIGNED"
    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self in (self.SUCCESS, self.FAILED, self.CANCELLED)
