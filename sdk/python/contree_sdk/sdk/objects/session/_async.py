"""Sessions on an event loop."""

from __future__ import annotations

from contree_sdk.sdk.objects.image_like._async import ImageLike
from contree_sdk.sdk.objects.session._base import SessionBase


class ContreeSession(SessionBase, ImageLike):
    """An image that moves on with every run: `await session.run(…)` gives the session itself."""
