"""Images that cannot be used like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from contree_sdk.sdk.exceptions.base import ContreeError
from contree_sdk.sdk.objects.image_like.state import ImageState


@dataclass
class ContreeImageNotFoundError(ContreeError):
    """There is no such image. Not raised: requests end with `NotFoundError`."""

    image_ref: UUID | str | None
    field: Literal["uuid", "tag"] = "uuid"

    _template = 'Image {field} "{image_ref}" not found'


class ContreeImageParametersError(ContreeError):
    """Parameters that do not go together. Not raised: Python's own ValueError and TypeError are."""


@dataclass
class DisposableImageRunError(ContreeError):
    """A run on what a disposable run left: nothing."""

    _template = (
        "Disposable image run cannot be used for running: pass disposable=False to a run whose "
        "image is to be used further"
    )


@dataclass
class ContreeImageStateError(ContreeError):
    """Something that cannot be done in this state, for example reading a result before there is
    one."""

    image_uuid: UUID | None
    state: ImageState | str | None
    states: list[ImageState] | None
    """Those in which it could."""

    @property
    def message(self) -> str:
        message = f'Image state "{self.image_uuid}" cannot have state {self.state}'
        if self.states:
            message += f", it only can be in {self.states}"
        return message


@dataclass
class ContreeImageImpossibleStateError(ContreeImageStateError):
    """Not raised: `ContreeImageStateError` is."""

    possible_states: list[ImageState] | None


class ContreeImageEmptyRequestError(ContreeError):
    """Not raised."""
