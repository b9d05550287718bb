"""Runs that were begun elsewhere: what both forms have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.objects.handle._base import RunCore
from contree_sdk.sdk.objects.image_like.state import ImageState
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES, RunRequest

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

_I = TypeVar("_I", bound="ImageLikeBase")


class OperationsBase:
    """`client.operations`: runs by the uuid of their operation."""

    def __init__(self, client: ClientBase) -> None:
        self._client = client

    def _attached(
        self, image: _I, uuid: UUID | str, stdout: REQUEST_IO_TYPES, stderr: REQUEST_IO_TYPES
    ) -> RunCore[_I]:
        """The run, with the image that stands for what it leaves. Asks nobody."""
        operation = _uuid(uuid)
        image._state = ImageState.EXECUTING
        image._request = RunRequest(command="", disposable=True, stdout=stdout, stderr=stderr)
        return RunCore(image, self._client._core.attach(operation))

    async def _cancel(self, uuid: UUID | str) -> None:
        await self._client._core.attach(_uuid(uuid)).cancel()


def _uuid(uuid: UUID | str) -> str:
    try:
        return str(UUID(str(uuid)))
    except ValueError:
        raise ValueError(f"{uuid!r} is not the uuid of an operation") from None
