"""Entries of folders in images, blocking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from contree_sdk import _blocking
from contree_sdk.sdk.objects.image_fs._base import EntryBase


@dataclass(repr=False)
class ImageFileSync(EntryBase):
    """A file, or anything else that is not a folder."""

    is_dir: Literal[False]  # pyright: ignore[reportIncompatibleVariableOverride]

    def read(self) -> bytes:
        """Its content; of a symbolic link that of its target.

        Raises:
            NotFoundError: The link's target is not there.
            UnprocessableEntityError: It is, but is no regular file.
        """
        return _blocking.run(self._image._read_file(self.full_path))

    def download(self, local_path: str | Path | None = None) -> Path:
        """Writes its content to a local file, which appears when it is whole.

        Args:
            local_path: The file, or a folder that is there. None: its name, in the current folder.
        """
        return _blocking.run(self._image._download(self.full_path, local_path))


@dataclass(repr=False)
class ImageDirectorySync(EntryBase):
    """A folder."""

    is_dir: Literal[True]  # pyright: ignore[reportIncompatibleVariableOverride]

    def ls(self, path: str | PurePosixPath = "") -> list[ImageFileSync | ImageDirectorySync]:
        """What is in it, or in a folder below it."""
        return _blocking.run(self._image._ls(self.full_path / path, entry))


def entry(**fields: Any) -> ImageFileSync | ImageDirectorySync:
    """The object for an entry of a listing."""
    return ImageDirectorySync(**fields) if fields["is_dir"] else ImageFileSync(**fields)
