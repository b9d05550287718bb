"""Uploading files: what both forms have in common."""

from __future__ import annotations

from pathlib import Path

from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.utils.models.file import UploadedFile


class FilesBase:
    """`client.files`: files on the server, for `UploadFileSpec(source=…)`.

    Most code has no use for it: the files of `run` are uploaded by themselves.
    """

    def __init__(self, client: ClientBase) -> None:
        self._client = client

    async def _upload(self, path: str | Path) -> UploadedFile:
        uuid, sha256, _ = await self._client._core.upload_path(str(path))
        return UploadedFile(uuid, sha256)

    async def _upload_bytes(self, data: bytes) -> UploadedFile:
        uuid, sha256, _ = await self._client._core.upload_bytes(data)
        return UploadedFile(uuid, sha256)
