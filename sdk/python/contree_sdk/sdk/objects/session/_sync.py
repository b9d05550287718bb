"""Sessions, blocking."""

from __future__ import annotations

from contree_sdk.sdk.objects.image_like._sync import ImageLikeSync
from contree_sdk.sdk.objects.session._base import SessionBase


class ContreeSessionSync(SessionBase, ImageLikeSync):
    """An image that moves on with every run: `session.run(…).wait()` gives the session itself."""
