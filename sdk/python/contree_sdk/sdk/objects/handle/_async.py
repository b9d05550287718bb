"""Runs that have begun, on an event loop."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import PurePosixPath
from signal import Signals
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from contree_sdk.sdk.objects.handle._base import MAIN, ExecCore, RunCore
from contree_sdk.sdk.objects.image_like.result import ContreeResult
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES
from contree_sdk.sdk.objects.stream._async import ContreeEvents, ContreeStream
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

_I = TypeVar("_I", bound="ImageLikeBase")


class ContreeRun(Generic[_I]):
    """A run that has begun: from `start()` of a prepared run, or `client.operations.attach`.

    Awaiting it gives the image, or the session, after the run. It goes on whatever becomes of this
    object and of who waits for it; `async with` cancels it when it has not ended at the block's end.
    """

    def __init__(self, core: RunCore[_I]) -> None:
        self._core = core

    @property
    def uuid(self) -> UUID:
        """The operation, as `client.operations` and the command line know it."""
        uuid = self._core.uuid
        if uuid is None:
            raise RuntimeError("the run was not sent")
        return uuid

    def __await__(self) -> Generator[Any, None, _I]:
        return self._core.finish().__await__()

    async def wait(self) -> _I:
        """The image, or the session, after the run. Cancelling this does not cancel the run.

        Raises:
            FailedOperationError: The run could not be done.
            CancelledOperationError: Someone cancelled it.
            OperationTimedOutError: It did not get its turn in time.
            ContreeApiError: The server cannot be asked.
        """
        return await self._core.finish()

    def stream(self) -> ContreeStream[_I]:
        """The output of the command from its beginning, as it is written."""
        return ContreeStream(self._core, spid=MAIN)

    def events(self, *, after: int | None = None) -> ContreeEvents[_I]:
        """Everything that happens in the run, from its beginning or behind the event `after`."""
        return ContreeEvents(self._core, after=after)

    async def exec(
        self,
        command: str | None = None,
        *,
        shell: str | None = None,
        args: Iterable[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | PurePosixPath | None = None,
        stdin: IO_TYPES | None = None,
        stdout: REQUEST_IO_TYPES = None,
        stderr: REQUEST_IO_TYPES = None,
        truncate_output_at: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> ContreeExec:
        """Starts a further process in the run, beside its command. It ends with the command.

        The parameters mean what they mean for `run`; with `stdin=subprocess.PIPE` the input stays
        open for `write`. A run that waits for its turn starts it when it has come.

        Raises:
            NotFoundError, ApiStatusCodeError: The run has ended.
            ValueError, TypeError, OSError: As `run`.
        """
        core = await self._core.exec(
            command,
            shell=shell,
            args=args,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            truncate_output_at=truncate_output_at,
            uid=uid,
            gid=gid,
        )
        return ContreeExec(core)

    async def write_stdin(self, data: bytes | str) -> None:
        """Writes to the command's input, which `stdin=subprocess.PIPE` has kept open.

        Raises:
            ApiStatusCodeError: The input was not kept open, or is closed (409); the command has
                ended (404, 410).
        """
        await self._core.write(MAIN, data, False)

    async def close_stdin(self) -> None:
        """Ends the command's input."""
        await self._core.write(MAIN, b"", True)

    async def signal(self, signal: str | int | Signals) -> None:
        """Sends a signal to the command and its children: `"TERM"`, `15`, `signal.SIGTERM`."""
        await self._core.signal(MAIN, signal)

    async def kill(self) -> None:
        """Sends SIGKILL to the command. The run succeeds, its result has `signal` 9, and what was
        written so far is kept unless it is disposable."""
        await self._core.signal(MAIN, None)

    async def cancel(self) -> None:
        """Cancels the run: nothing is kept, and waiting for it raises CancelledOperationError.

        Raises:
            ApiStatusCodeError: It has ended (409), or the token may not cancel (403).
        """
        await self._core.cancel()

    async def __aenter__(self) -> ContreeRun[_I]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._core.abandon()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(uuid={str(self._core.uuid)!r}, image={self._core.image!r})"


class ContreeExec:
    """A further process in a run. Awaiting it gives its result."""

    def __init__(self, core: ExecCore) -> None:
        self._core = core

    @property
    def spid(self) -> int:
        """Its number among the processes of the run, from 2."""
        return self._core.spid

    def __await__(self) -> Generator[Any, None, ContreeResult]:
        return self._core.finish().__await__()

    async def wait(self) -> ContreeResult:
        """How it ended; waits for that."""
        return await self._core.finish()

    def stream(self) -> ContreeStream[ContreeResult]:
        """Its output from its beginning, as it is written."""
        return ContreeStream(self._core)

    async def write(self, data: bytes | str) -> None:
        """Writes to its input, which `stdin=subprocess.PIPE` has kept open."""
        await self._core.core.write(self.spid, data, False)

    async def close_stdin(self) -> None:
        """Ends its input."""
        await self._core.core.write(self.spid, b"", True)

    async def signal(self, signal: str | int | Signals) -> None:
        """Sends a signal to it and its children: `"TERM"`, `15`, `signal.SIGTERM`."""
        await self._core.core.signal(self.spid, signal)

    async def kill(self) -> None:
        """Sends SIGKILL."""
        await self._core.core.signal(self.spid, None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(operation={str(self._core.core.uuid)!r}, spid={self.spid})"
