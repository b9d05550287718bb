"""Runs that have begun, and further processes in them: what both forms have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from signal import Signals
from subprocess import PIPE
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from contree_sdk._native import Event, Events, Run
from contree_sdk._offload import read_input
from contree_sdk.sdk.exceptions import OperationError
from contree_sdk.sdk.objects.image_like._arguments import (
    command_line,
    input_of,
    natural,
    output_of,
    size,
    variables,
    words,
)
from contree_sdk.sdk.objects.image_like.result import ContreeResult
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES, RunRequest
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

_I = TypeVar("_I", bound="ImageLikeBase")

MAIN = 1
"""The number of a run's command among the processes of the run."""


class RunCore(Generic[_I]):
    """A run, and the image that waits for its end."""

    def __init__(
        self, image: _I, run: Run, *, deadline: float | None = None, stdin_open: bool = False
    ) -> None:
        self.image = image
        self.run = run
        self.stdin_open = stdin_open
        self._deadline = deadline
        self._started: float | None = None
        self._over = False
        self._done: _I | None = None

    @property
    def uuid(self) -> UUID | None:
        """The operation; None until the server has taken it."""
        return None if self.run.uuid is None else UUID(self.run.uuid)

    @property
    def ended(self) -> bool:
        """Whether the end has been heard of."""
        return self._over

    async def start(self) -> None:
        """Sends it. Cancelled or interrupted, it is cancelled."""
        try:
            await self.run.started()
            self._started = monotonic()
        except GeneratorExit:
            raise
        except BaseException:
            await self.abandon()
            raise

    def end_within(self, seconds: float) -> None:
        """Whoever waits from now on waits at most so long; then it is cancelled."""
        elapsed = 0.0 if self._started is None else monotonic() - self._started
        deadline = elapsed + max(seconds, 0.0)
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    async def finish(self) -> _I:
        """The image after the run. Cancelled or interrupted, the run goes on."""
        if self._done is None:
            try:
                outcome = await self.run.finished(self._deadline)
            except OperationError:
                self._over = True
                self.image._fail()
                raise
            # Two may have waited at once.
            if self._done is None:
                self._over = True
                self._done = self.image
                self.image._take(outcome)
                request = self.image._prepared_request()
                if request.tag:
                    self._done = await self.image._tag_as(request.tag)
        return self._done

    async def finish_or_abandon(self) -> _I:
        """The image after the run. Cancelled or interrupted, the run is cancelled."""
        try:
            return await self.finish()
        except GeneratorExit:
            # Nothing can be awaited any more.
            self.image._fail()
            raise
        except BaseException:
            await self.abandon()
            raise

    async def abandon(self) -> None:
        """Cancels the run unless it has ended."""
        self.image._fail()
        if not self._over:
            self._over = True
            await self.run.abandon()

    async def cancel(self) -> None:
        """Cancels the run; says so when that cannot be done."""
        await self.run.started()
        await self.run.cancel()
        self.image._fail()

    async def poll(self) -> bool:
        """Whether it has ended; if so, its end is taken in, which raises what waiting for it does."""
        if not self._over and await self.run.status() not in ("SUCCESS", "FAILED", "CANCELLED"):
            return False
        await self.finish()
        return True

    async def events(self, spid: int | None, after: int | None) -> Events:
        await self.run.started()
        return self.run.events(spid=spid, after=after)

    def is_last(self, event: Event) -> bool:
        return False

    async def end(self) -> _I:
        """The image after the run, for whoever follows it."""
        return await self.finish()

    async def let_go(self) -> None:
        """Whoever followed it does so no longer; it was not begun for that."""

    async def write(self, spid: int, data: bytes | str, close: bool) -> None:
        await self.run.started()
        await self.run.write_stdin(spid, data.encode() if isinstance(data, str) else data, close)
        if close and spid == MAIN:
            self.stdin_open = False

    async def signal(self, spid: int, signal: str | int | Signals | None) -> None:
        await self.run.started()
        await self.run.signal(spid, signal_name(signal))

    async def exec(
        self,
        command: str | None,
        *,
        shell: str | None,
        args: Iterable[str] | None,
        env: Mapping[str, str | None] | None,
        cwd: str | PurePosixPath | None,
        stdin: IO_TYPES | None,
        stdout: REQUEST_IO_TYPES,
        stderr: REQUEST_IO_TYPES,
        truncate_output_at: int | None,
        uid: int | None,
        gid: int | None,
    ) -> ExecCore:
        request = RunRequest(
            command=command_line(command, shell),
            disposable=True,
            stdout=output_of(stdout),
            stderr=output_of(stderr),
        )
        keep_open = stdin == PIPE
        config = self.image._client.config
        started = dict[str, Any](
            command=request.command,
            args=words(args),
            shell=shell is not None,
            env=variables(env),
            cwd="" if cwd is None else str(cwd),
            stdin=b"" if keep_open else await read_input(input_of(stdin)),
            stdin_open=keep_open,
            truncate_output_at=size("truncate_output_at", truncate_output_at)
            or config.default_truncate_output_at,
            uid=natural("uid", uid),
            gid=natural("gid", gid),
        )
        await self.run.started()
        return ExecCore(self, await self.run.exec(**started), request)


class ExecCore:
    """A further process in a run."""

    def __init__(self, core: RunCore[Any], spid: int, request: RunRequest) -> None:
        self.core = core
        self.spid = spid
        self._request = request
        self._exited = False
        self._done: ContreeResult | None = None

    def is_last(self, event: Event) -> bool:
        """The events of a process go on to the run's end: a daemon that it has left may write."""
        self._exited = self._exited or event.type == "exit"
        return self._exited

    async def finish(self) -> ContreeResult:
        if self._done is None:
            events = self.core.run.events(spid=self.spid)
            while not self._exited:
                event = await events.next()
                if event is None or self.is_last(event):
                    break
            outcome = await self.core.run.process_result(self.spid)
            if self._done is None:
                self._done = ContreeResult.from_result(outcome, self._request)
        return self._done

    end = finish

    async def events(self, spid: int | None, after: int | None) -> Events:
        return self.core.run.events(spid=self.spid, after=after)

    async def let_go(self) -> None:
        """It goes on."""


class Begun(Generic[_I]):
    """A prepared run that begins when it is first followed, and is cancelled when that ends early."""

    def __init__(self, image: _I) -> None:
        self._image = image
        self._core: RunCore[_I] | None = None

    async def core(self) -> RunCore[_I]:
        if self._core is None:
            self._core = await self._image._begin(keep_stdin_open=True)
            await self._core.start()
        return self._core

    async def events(self, spid: int | None, after: int | None) -> Events:
        return await (await self.core()).events(spid, after)

    async def finish(self) -> _I:
        return await (await self.core()).finish()

    def is_last(self, event: Event) -> bool:
        return False

    async def end(self) -> _I:
        return await (await self.core()).finish_or_abandon()

    async def let_go(self) -> None:
        if self._core is not None:
            await self._core.abandon()


def signal_name(signal: str | int | Signals | None) -> str | None:
    """`SIGTERM`, for names with and without `SIG`, numbers and `signal.SIGTERM`; None: SIGKILL.

    Raises:
        ValueError: a number that is no signal.
    """
    if signal is None or isinstance(signal, str):
        return signal
    return Signals(signal).name
