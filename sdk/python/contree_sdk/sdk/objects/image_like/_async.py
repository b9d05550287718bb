"""Images and sessions on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar, overload

from contree_sdk._native import Run
from contree_sdk.sdk.objects.handle._async import ContreeRun
from contree_sdk.sdk.objects.handle._base import MAIN, Begun
from contree_sdk.sdk.objects.image_fs._async import ImageDirectory, ImageFile, entry
from contree_sdk.sdk.objects.image_like._base import ImageLikeBase
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES
from contree_sdk.sdk.objects.stream._async import ContreeEvents, ContreeStream
from contree_sdk.sdk.objects.subprocess._async import ContreeProcess
from contree_sdk.utils.io_wrap import IO_TYPES
from contree_sdk.utils.models.file import FilesArgument, UploadFileSpec
from contree_sdk.utils.models.grep import GrepResult

_T = TypeVar("_T", bound="ImageLike")


class ImageLike(ImageLikeBase):
    """What `ContreeImage` and `ContreeSession` have in common."""

    def __await__(self: _T) -> Generator[Any, None, _T]:
        """Executes the prepared run; gives the image, or the session, after it.

        Cancelling whoever awaits cancels the run. A prepared run of an image may be awaited several
        times, also at once.

        Raises:
            FailedOperationError: The run could not be done: the program is not there, for example.
            CancelledOperationError: Someone cancelled it.
            OperationTimedOutError: It did not get its turn in time.
            NotFoundError: The image is not there.
            ContreeApiError: The server refuses it otherwise, or cannot be reached.
            ContreeImageStateError: A session's run is under way already.
        """
        return self._await().__await__()

    async def start(self: _T) -> ContreeRun[_T]:
        """Sends the prepared run and returns when the server has taken it: a handle to follow it,
        feed it, signal it and wait for it. With `stdin=subprocess.PIPE` its input stays open."""
        core = await self._begin(keep_stdin_open=True)
        await core.start()
        return ContreeRun(core)

    def stream(self: _T) -> ContreeStream[_T]:
        """Executes the prepared run; gives its output, piece by piece, as it is written.

        `async for chunk in stream` ends when the run has; awaiting it gives the image, or the session,
        after the run. When whoever follows it is cancelled, or leaves `async with` early, the run is cancelled.
        """
        return ContreeStream(Begun(self), spid=MAIN)

    def events(self: _T) -> ContreeEvents[_T]:
        """Executes the prepared run; gives everything that happens in it. Otherwise like `stream`."""
        return ContreeEvents(Begun(self))

    def popen(
        self,
        args: Sequence[str] | str | None = None,
        *,
        stdin: IO_TYPES | None = None,
        input: IO_TYPES | None = None,
        stdout: REQUEST_IO_TYPES = None,
        stderr: REQUEST_IO_TYPES = None,
        shell: bool = False,
        cwd: str | PurePosixPath | None = None,
        timeout: float | timedelta | None = None,
        check: bool = False,
        text: bool | None = None,
        env: Mapping[str, str | None] | None = None,
        disposable: bool = True,
    ) -> ContreeProcess:
        """A run in the manner of `subprocess.Popen`.

        It begins with the first call that needs it: `wait`, `communicate`, `poll`, a signal.

        Args:
            args: A program and its arguments; with `shell` a line for the shell.
            stdin: As for `run`; `subprocess.PIPE` gives a pipe as `stdin` of the process.
            input: Another name for `stdin`.
            stdout: As for `run`.
            stderr: As for `run`.
            shell: Whether `args` is a line for the shell.
            cwd: The working directory.
            timeout: Seconds until it is killed.
            check: Whether another exit code than 0 is an error.
            text: True for text, False for bytes, where `stdout` and `stderr` do not say. None: text.
            env: Variables, over those of the image.
            disposable: Whether what it writes is thrown away.

        Raises:
            As `run`.
        """
        prepared = self._popen(
            args,
            stdin=input or stdin,
            stdout=stdout,
            stderr=stderr,
            shell=shell,
            cwd=cwd,
            timeout=timeout,
            text=text,
            env=env,
            disposable=disposable,
        )
        return ContreeProcess(prepared, check=check)

    async def ls(self, path: str | PurePosixPath = "/") -> list[ImageFile | ImageDirectory]:
        """What is in a folder, sorted by name.

        Raises:
            NotFoundError: It is not there.
            UnprocessableEntityError: It is no folder.
        """
        return await self._ls(path, entry)

    async def read(self, image_path: str | PurePosixPath) -> bytes:
        """The content of a file. Symbolic links are followed, inside the image.

        Raises:
            NotFoundError: It is not there.
            UnprocessableEntityError: It is a folder, or otherwise no regular file.
        """
        return await self._read_file(image_path)

    async def download(
        self, image_path: str | PurePosixPath, local_path: str | Path | None = None
    ) -> Path:
        """Writes a file of the image to a local one, of any size; it appears when it is whole.

        Args:
            image_path: The file in the image.
            local_path: The local file, or a folder that is there. None: the same name, in the current
                folder.

        Returns:
            The local file.

        Raises:
            NotFoundError, UnprocessableEntityError: As `read`.
            OSError: The local file cannot be written.
        """
        return await self._download(image_path, local_path)

    @overload
    async def archive(
        self, path: str | PurePosixPath = "/", local_path: None = None, *, gzip: bool = False
    ) -> bytes: ...
    @overload
    async def archive(
        self, path: str | PurePosixPath, local_path: str | Path, *, gzip: bool = False
    ) -> Path: ...
    async def archive(
        self,
        path: str | PurePosixPath = "/",
        local_path: str | Path | None = None,
        *,
        gzip: bool = False,
    ) -> bytes | Path:
        """A file or a folder with all that is in it, as a tar archive (PAX).

        Args:
            path: The file or folder. Names in the archive begin with its last part, those of `/` with
                nothing.
            local_path: The local file to write; it appears when it is whole. None: returned as bytes.
            gzip: Whether it is compressed.

        Raises:
            NotFoundError: The path is not there.
            OSError: The local file cannot be written.
        """
        where = None if local_path is None else Path(local_path)
        content: bytes | Path = await self._archive(path, where, gzip)
        return content

    async def grep(
        self,
        *patterns: str,
        paths: Sequence[str | PurePosixPath] = (),
        globs: Sequence[str] = (),
        case: Literal["sensitive", "insensitive", "smart"] = "sensitive",
        before: int = 0,
        after: int = 0,
        max_count: int | None = None,
        max_total: int | None = None,
    ) -> GrepResult:
        """Searches files of the image, on the server.

        Args:
            patterns: Regular expressions, of which one must match a line; at most 16.
            paths: Files and folders to search. None given: everything.
            globs: Which files, with `!` in front which not; the last that fits counts.
            case: `smart`: case matters when a pattern has an upper case letter.
            before: Lines of context before a match, at most 50.
            after: Lines of context after a match, at most 50.
            max_count: Most matches in one file. None: no bound.
            max_total: Most matches in all, at most 10000. None: 1000.

        Raises:
            ValueError: No pattern.
            ApiStatusCodeError: A pattern is no regular expression (400).
            NotFoundError: A path is not there.
        """
        return await self._grep(
            patterns,
            paths=paths,
            globs=globs,
            case=case,
            before=before,
            after=after,
            max_count=max_count,
            max_total=max_total,
        )

    async def tag_as(self: _T, tag: str | None) -> _T:
        """Names the image; a tag that another image has moves. None: as `untag`.

        Returns:
            The same with the tag, and with its result.

        Raises:
            ApiStatusCodeError: It is no valid tag (400), or there is no image.
        """
        return await self._tag_as(tag)

    async def untag(self: _T) -> _T:
        """Removes all tags of the image, which stays."""
        return await self._untag()

    async def apply_files(
        self: _T,
        *args: str | Path | UploadFileSpec | FilesArgument,
        files: FilesArgument | None = None,
    ) -> _T:
        """Puts files into a new image that is otherwise the same.

        Args:
            args: Files, lists and dicts of files, as `files` of `run`.
            files: More of them.
        """
        return await self._apply_files(args, files)

    def _later_input(self, run: Run) -> Callable[[bytes, bool], None]:
        def refuse(_data: bytes, _last: bool) -> None:
            raise ValueError("the run has begun: write with `await run.write_stdin(…)`")

        return refuse
