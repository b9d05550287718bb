"""Files that go to the server."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeAlias

DEFAULT_MODE = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH
"""`rw-r--r--`."""


@dataclass
class UploadedFile:
    """A file that the server has."""

    uuid: str
    """By which runs name it."""
    sha256: str
    """Of its content, in hexadecimal."""


@dataclass(kw_only=True)
class UploadFileSpec:
    """A file for a run, with owner and mode."""

    uid: int = 0
    """Owner, by number."""
    gid: int = 0
    """Group, by number."""
    mode: int = DEFAULT_MODE
    """Permissions as of `os.chmod`; bits for the type of file do no harm."""
    path: PurePosixPath | str | None = None
    """Where it goes; relative to `/`. None: into `/`, under the source's name."""

    source: str | Path | bytes | UploadedFile
    """The path of a local file, its content, or a file that was uploaded before."""

    @classmethod
    def _prepare_files(
        cls, files: FilesArgument, default_image_path: str = "/"
    ) -> list[UploadFileSpec]:
        """Every form in which files may be given, as specs with paths.

        Raises:
            ValueError: no name to go by, or two files for one path.
            TypeError: a single file, or a source of another kind.
        """
        if isinstance(files, str | bytes | PurePath | UploadFileSpec):
            raise TypeError("files is a list, or a dict of paths in the image and files")
        entries: Iterable[tuple[str | PurePosixPath | None, FileSource]]
        entries = files.items() if isinstance(files, Mapping) else ((None, file) for file in files)
        prepared: dict[PurePosixPath, UploadFileSpec] = {}
        for destination, source in entries:
            spec = source if isinstance(source, UploadFileSpec) else cls(source=source)
            local: object = spec.source
            if not isinstance(local, str | PurePath | bytes | UploadedFile):
                raise TypeError(
                    f"{local!r} is no source of a file: a path, bytes or an UploadedFile"
                )
            destination = destination or spec.path or cls._default(spec, default_image_path)
            path = PurePosixPath(destination)
            if path in prepared:
                raise ValueError(
                    f"Duplicate destination path `{path}`: "
                    f"{prepared[path]._name()} and {spec._name()}"
                )
            if isinstance(local, str | PurePath):
                local = Path(local)
            prepared[path] = replace(spec, path=path, source=local)
        return list(prepared.values())

    @staticmethod
    def _default(spec: UploadFileSpec, folder: str) -> PurePosixPath:
        if isinstance(spec.source, bytes | UploadedFile):
            raise ValueError(
                f"{spec._name()} has no name of its own: say its path in the image, with a dict "
                "or with UploadFileSpec(path=…)"
            )
        return PurePosixPath(folder) / Path(spec.source).name

    def _name(self) -> str:
        """The source in a few words, whatever its content."""
        if isinstance(self.source, bytes):
            return f"{len(self.source)} bytes"
        if isinstance(self.source, UploadedFile):
            return f"uploaded file {self.source.uuid}"
        return f"`{self.source}`"

    def _wire(self) -> tuple[str, str | bytes | None, str | None, int, int, str]:
        """For the native module: destination, content to upload, or what was uploaded, and so on."""
        content: str | bytes | None = None
        uuid: str | None = None
        if isinstance(self.source, UploadedFile):
            uuid = self.source.uuid
        else:
            content = self.source if isinstance(self.source, bytes) else str(self.source)
        return str(self.path), content, uuid, self.uid, self.gid, f"{self.mode:04o}"


FileSource: TypeAlias = str | Path | bytes | UploadFileSpec
FilesArgument: TypeAlias = (
    Sequence[str | Path | UploadFileSpec] | Mapping[str, str | Path | bytes | UploadFileSpec]
)
"""Files for a run: those of a sequence go into `/` under their names, a mapping says where to."""
