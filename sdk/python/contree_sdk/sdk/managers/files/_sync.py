"""Uploading files, blocking."""

from __future__ import annotations

from pathlib import Path

from contree_sdk import _blocking
from contree_sdk.sdk.managers.files._base import FilesBase
from contree_sdk.utils.models.file import UploadedFile


class FilesManagerSync(FilesBase):
    def upload(self, local_path: Path | str) -> UploadedFile:
        """Uploads a local file, of any size, unless the server has one with the same content.

        Raises:
            OSError: It cannot be read.
        """
        return _blocking.run(self._upload(local_path))

    def upload_bytes(self, data: bytes) -> UploadedFile:
        """Uploads content, unless the server has it."""
        return _blocking.run(self._upload_bytes(data))
