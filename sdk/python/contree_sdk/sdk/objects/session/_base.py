"""What both forms of sessions have in common."""

from __future__ import annotations

from typing import TypeVar

from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

_T = TypeVar("_T", bound="SessionBase")


class SessionBase(ImageLikeBase):
    """An image that moves on with every run.

    A run that could not be done leaves it where it was: it may be run again.
    """

    def __init__(self, image: ImageLikeBase) -> None:
        """A session that starts from an image, or from where another session is."""
        super().__init__(image._client, image.uuid, image.tag)

    def _step(self: _T) -> _T:
        return self

    def _twin(self: _T) -> _T:
        return self
