"""Runs that were begun elsewhere, blocking."""

from __future__ import annotations

from uuid import UUID

from contree_sdk import _blocking
from contree_sdk.sdk.managers.operations._base import OperationsBase
from contree_sdk.sdk.objects.handle._sync import ContreeRunSync
from contree_sdk.sdk.objects.image._sync import ContreeImageSync
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES


class OperationsManagerSync(OperationsBase):
    def attach(
        self,
        uuid: UUID | str,
        *,
        stdout: REQUEST_IO_TYPES = None,
        stderr: REQUEST_IO_TYPES = None,
    ) -> ContreeRunSync[ContreeImageSync]:
        """A handle to a run that was begun elsewhere, or has ended. Asks nobody yet.

        Args:
            uuid: The operation: `uuid` of another handle, `operation_uuid` of a result or an error.
            stdout: Where its output goes, as for `run`.
            stderr: Like `stdout`.

        Raises:
            ValueError: That is no uuid.
        """
        image = ContreeImageSync(self._client, None, None)
        return ContreeRunSync(self._attached(image, uuid, stdout, stderr))

    def cancel(self, uuid: UUID | str) -> None:
        """Cancels a run or an import.

        Raises:
            NotFoundError: There is no such operation.
            ApiStatusCodeError: It has ended (409), or the token may not cancel (403).
        """
        _blocking.run(self._cancel(uuid))
