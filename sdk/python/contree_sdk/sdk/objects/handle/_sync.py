"""Runs that have begun, blocking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from signal import Signals
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from contree_sdk import _blocking
from contree_sdk.sdk.objects.handle._base import MAIN, ExecCore, RunCore
from contree_sdk.sdk.objects.image_like.result import ContreeResult
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES
from contree_sdk.sdk.objects.stream._sync import ContreeEventsSync, ContreeStreamSync
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

_I = TypeVar("_I", bound="ImageLikeBase")


class ContreeRunSync(Generic[_I]):
    """A run that has begun: from `start()` of a prepared run, or `client.operations.attach`.

    It goes on whatever becomes of this object and of who waits for it; `with` cancels it when it has
    not ended at the block's end.
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

    def wait(self) -> _I:
        """The image, or the session, after the run. Ctrl-C does not cancel the run.

        Raises:
            FailedOperationError: The run could not be done.
            CancelledOperationError: Someone cancelled it.
            OperationTimedOutError: It did not get its turn in time.
            ContreeApiError: The server cannot be asked.
        """
        return _blocking.run(self._core.finish())

    def stream(self) -> ContreeStreamSync[_I]:
        """The output of the command from its beginning, as it is written."""
        return ContreeStreamSync(self._core, spid=MAIN)

    def events(self, *, after: int | None = None) -> ContreeEventsSync[_I]:
        """Everything that happens in the run, from its beginning or behind the event `after`."""
        return ContreeEventsSync(self._core, after=after)

    def exec(
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
    ) -> ContreeExecSync:
        """Starts a further process in the run, beside its command. It ends with the command.

        The parameters mean what they mean for `run`; with `stdin=subprocess.PIPE` the input stays
        open for `write`. A run that waits for its turn starts it when it has come.

        Raises:
            NotFoundError, ApiStatusCodeError: The run has ended.
            ValueError, TypeError, OSError: As `run`.
        """
        begun = self._core.exec(
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
        return ContreeExecSync(_blocking.run(begun))

    def write_stdin(self, data: bytes | str) -> None:
        """Writes to the command's input, which `stdin=subprocess.PIPE` has kept open.

        Raises:
            ApiStatusCodeError: The input was not kept open, or is closed (409); the command has
                ended (404, 410).
        """
        _blocking.run(self._core.write(MAIN, data, False))

    def close_stdin(self) -> None:
        """Ends the command's input."""
        _blocking.run(self._core.write(MAIN, b"", True))

    def signal(self, signal: str | int | Signals) -> None:
        """Sends a signal to the command and its children: `"TERM"`, `15`, `signal.SIGTERM`."""
        _blocking.run(self._core.signal(MAIN, signal))

    def kill(self) -> None:
        """Sends SIGKILL to the command. The run succeeds, its result has `signal` 9, and what was
        written so far is kept unless it is disposable."""
        _blocking.run(self._core.signal(MAIN, None))

    def cancel(self) -> None:
        """Cancels the run: nothing is kept, and waiting for it raises CancelledOperationError.

        Raises:
            ApiStatusCodeError: It has ended (409), or the token may not cancel (403).
        """
        _blocking.run(self._core.cancel())

    def __enter__(self) -> ContreeRunSync[_I]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _blocking.run(self._core.abandon())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(uuid={str(self._core.uuid)!r}, image={self._core.image!r})"


class ContreeExecSync:
    """A further process in a run."""

    def __init__(self, core: ExecCore) -> None:
        self._core = core

    @property
    def spid(self) -> int:
        """Its number among the processes of the run, from 2."""
        return self._core.spid

    def wait(self) -> ContreeResult:
        """How it ended; waits for that."""
        return _blocking.run(self._core.finish())

    def stream(self) -> ContreeStreamSync[ContreeResult]:
        """Its output from its beginning, as it is written."""
        return ContreeStreamSync(self._core)

    def write(self, data: bytes | str) -> None:
        """Writes to its input, which `stdin=subprocess.PIPE` has kept open."""
        _blocking.run(self._core.core.write(self.spid, data, False))

    def close_stdin(self) -> None:
        """Ends its input."""
        _blocking.run(self._core.core.write(self.spid, b"", True))

    def signal(self, signal: str | int | Signals) -> None:
        """Sends a signal to it and its children: `"TERM"`, `15`, `signal.SIGTERM`."""
        _blocking.run(self._core.core.signal(self.spid, signal))

    def kill(self) -> None:
        """Sends SIGKILL."""
        _blocking.run(self._core.core.signal(self.spid, None))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(operation={str(self._core.core.uuid)!r}, spid={self.spid})"
