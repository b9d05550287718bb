"""Runs that were begun elsewhere, on an event loop."""

from __future__ import annotations

from uuid import UUID

from contree_sdk.sdk.managers.operations._base import OperationsBase
from contree_sdk.sdk.objects.handle._async import ContreeRun
from contree_sdk.sdk.objects.image._async import ContreeImage
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES


class OperationsManager(OperationsBase):
    def attach(
        self,
        uuid: UUID | str,
        *,
        stdout: REQUEST_IO_TYPES = None,
        stderr: REQUEST_IO_TYPES = None,
    ) -> ContreeRun[ContreeImage]:
        """A handle to a run that was begun elsewhere, or has ended. Asks nobody yet.

        Args:
            uuid: The operation: `uuid` of another handle, `operation_uuid` of a result or an error.
            stdout: Where its output goes, as for `run`.
            stderr: Like `stdout`.

        Raises:
            ValueError: That is no uuid.
        """
        image = ContreeImage(self._client, None, None)
        return ContreeRun(self._attached(image, uuid, stdout, stderr))

    async def cancel(self, uuid: UUID | str) -> None:
        """Cancels a run or an import.

        Raises:
            NotFoundError: There is no such operation.
            ApiStatusCodeError: It has ended (409), or the token may not cancel (403).
        """
        await self._cancel(uuid)
