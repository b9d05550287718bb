"""Images, blocking."""

from __future__ import annotations

from contree_sdk.sdk.objects.image_like._sync import ImageLikeSync
from contree_sdk.sdk.objects.session._sync import ContreeSessionSync


class ContreeImageSync(ImageLikeSync):
    """An image, which does not change: `image.run(…).wait()` gives the image after the run."""

    def session(self) -> ContreeSessionSync:
        """A session that starts from here."""
        return ContreeSessionSync(self)
