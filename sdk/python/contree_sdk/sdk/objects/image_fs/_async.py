"""Entries of folders in images, on an event loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from contree_sdk.sdk.objects.image_fs._base import EntryBase


@dataclass(repr=False)
class ImageFile(EntryBase):
    """A file, or anything else that is not a folder."""

    is_dir: Literal[False]  # pyright: ignore[reportIncompatibleVariableOverride]

    async def read(self) -> bytes:
        """Its content; of a symbolic link that of its target.

        Raises:
            NotFoundError: The link's target is not there.
            UnprocessableEntityError: It is, but is no regular file.
        """
        return await self._image._read_file(self.full_path)

    async def download(self, local_path: str | Path | None = None) -> Path:
        """Writes its content to a local file, which appears when it is whole.

        Args:
            local_path: The file, or a folder that is there. None: its name, in the current folder.
        """
        return await self._image._download(self.full_path, local_path)


@dataclass(repr=False)
class ImageDirectory(EntryBase):
    """A folder."""

    is_dir: Literal[True]  # pyright: ignore[reportIncompatibleVariableOverride]

    async def ls(self, path: str | PurePosixPath = "") -> list[ImageFile | ImageDirectory]:
        """What is in it, or in a folder below it."""
        return await self._image._ls(self.full_path / path, entry)


def entry(**fields: Any) -> ImageFile | ImageDirectory:
    """The object for an entry of a listing."""
    return ImageDirectory(**fields) if fields["is_dir"] else ImageFile(**fields)
