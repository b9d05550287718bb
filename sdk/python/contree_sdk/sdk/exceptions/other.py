"""What nobody thought of."""

from __future__ import annotations

from dataclasses import dataclass

from contree_sdk.sdk.exceptions.base import ContreeError


@dataclass
class UnknownContreeError(ContreeError):
    """An answer that makes no sense, or another fault of this package or the server."""

    exception: Exception | None = None
