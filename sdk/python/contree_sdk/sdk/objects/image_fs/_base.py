"""Entries of folders in images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from contree_sdk.sdk.objects.image_like._inspect import Inspection


@dataclass(repr=False)
class EntryBase:
    """What files and folders have in common. Everything that is not a folder counts as a file."""

    size: int
    """In bytes."""
    path: str
    """The name in the folder that was listed."""
    uid: int
    """The owner, by number."""
    gid: int
    """The group, by number."""
    mode: int
    """Type and permissions, as `stat.S_IFMT` and `stat.filemode` take them."""
    mtime: int
    """When it was changed, in seconds since 1970 (UTC)."""
    nlink: int
    """How many names it has."""
    symlink_to: str
    """What a symbolic link points to; else empty."""
    is_dir: bool
    is_regular: bool
    is_socket: bool
    is_fifo: bool
    is_symlink: bool
    owner: str
    """The owner's name in the image, or the number."""
    group: str
    """The group's name in the image, or the number."""
    _image: Inspection = field(compare=False)
    _path: PurePosixPath = field(compare=False)

    @property
    def full_path(self) -> PurePosixPath:
        """The path in the image: that of the listed folder, and the name."""
        return self._path / self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.full_path.name

    @property
    def is_file(self) -> bool:
        """Whether it is not a folder."""
        return not self.is_dir

    def __repr__(self) -> str:
        link = f", symlink_to={self.symlink_to!r}" if self.is_symlink else ""
        return (
            f"{type(self).__name__}({str(self.full_path)!r}, size={self.size}, "
            f"mode={self.mode:#o}{link})"
        )
