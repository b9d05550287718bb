"""Looking into images without running anything, and naming them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar
from uuid import UUID

from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.exceptions import ApiStatusCodeError
from contree_sdk.utils.models.grep import GrepResult

_T = TypeVar("_T", bound="Inspection")
_Entry = TypeVar("_Entry")


class Inspection:
    """Reading, searching and tagging, as coroutines for both forms."""

    uuid: UUID | None
    """The image; None when only its tag is known, and after a disposable run."""
    tag: str | None
    """A tag of it, where one is known."""
    _client: ClientBase

    async def _image_uuid(self) -> str:
        """The image; a tag is looked up each time, as it may have moved."""
        if self.uuid is not None:
            return str(self.uuid)
        if not self.tag:
            raise ApiStatusCodeError(
                status=400, error="no image is left by a disposable run: say disposable=False"
            )
        uuid, _ = await self._client._core.image_by_tag(self.tag)
        return uuid

    async def _ls(
        self,
        path: str | PurePosixPath,
        entry: Callable[..., _Entry],
    ) -> list[_Entry]:
        uuid = await self._image_uuid()
        listed = await self._client._core.list_directory(uuid, str(path))
        return [entry(_image=self, _path=PurePosixPath(path), **fields) for fields in listed]

    async def _read_file(self, path: str | PurePosixPath) -> bytes:
        return await self._client._core.read_file(await self._image_uuid(), str(path))

    async def _download(self, path: str | PurePosixPath, local: str | Path | None) -> Path:
        target = _target(PurePosixPath(path).name, local)
        await self._client._core.download_file(await self._image_uuid(), str(path), str(target))
        return target

    async def _archive(self, path: str | PurePosixPath, local: Path | None, gzip: bool) -> Any:
        uuid = await self._image_uuid()
        where = None if local is None else str(local)
        content = await self._client._core.archive(uuid, str(path), where, gzip)
        return content if local is None else local

    async def _grep(
        self,
        patterns: tuple[str, ...],
        *,
        paths: Sequence[str | PurePosixPath],
        globs: Sequence[str],
        case: Literal["sensitive", "insensitive", "smart"],
        before: int,
        after: int,
        max_count: int | None,
        max_total: int | None,
    ) -> GrepResult:
        if not patterns:
            raise ValueError("nothing to search for: give at least one pattern")
        uuid = await self._image_uuid()
        answer = await self._client._core.grep(
            uuid,
            patterns=list(patterns),
            paths=[str(path) for path in _words(paths)],
            globs=[str(glob) for glob in _words(globs)],
            case=case,
            before=before,
            after=after,
            max_count=max_count,
            max_total=max_total,
        )
        return GrepResult._of(answer)

    async def _tag_as(self: _T, tag: str | None) -> _T:
        if tag is None:
            return await self._untag()
        uuid = await self._image_uuid()
        await self._client._core.set_tag(uuid, tag)
        return self._named(uuid, tag)

    async def _untag(self: _T) -> _T:
        uuid = await self._image_uuid()
        await self._client._core.delete_tag(uuid)
        return self._named(uuid, None)

    def _named(self: _T, uuid: str, tag: str | None) -> _T:
        """The same, with its state and result, under another tag."""
        named = self._twin()
        named.uuid = UUID(uuid)
        named.tag = tag
        return named

    def _twin(self: _T) -> _T:
        """A copy with everything; a session itself."""
        raise NotImplementedError


def _words(words: Sequence[str | PurePosixPath]) -> Sequence[str | PurePosixPath]:
    """A single one is meant alone, not as its letters."""
    return [words] if isinstance(words, str | PurePosixPath) else words


def _target(name: str, local: str | Path | None) -> Path:
    """Where a download goes: a folder that is there takes the file's own name."""
    target = Path(name if local is None else local)
    return target / name if target.is_dir() else target
