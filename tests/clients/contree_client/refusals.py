"""Refusals, as the exceptions that they arrive as."""

from collections.abc import Callable

import pytest

from contree_client import APIStatusError


def raised_by(error: type[APIStatusError], status: int, call: Callable[[], object]) -> str:
    """Holds a call to raise this error, and returns its text."""
    with pytest.raises(error) as raised:
        call()
    assert raised.value.status == status
    assert raised.value.retry_after is None
    assert isinstance(raised.value.error, str) and raised.value.error
    return raised.value.error
