"""Images on an event loop."""

from __future__ import annotations

from contree_sdk.sdk.objects.image_like._async import ImageLike
from contree_sdk.sdk.objects.session._async import ContreeSession


class ContreeImage(ImageLike):
    """An image, which does not change: `await image.run(…)` gives the image after the run."""

    def session(self) -> ContreeSession:
        """A session that starts from here."""
        return ContreeSession(self)
