"""Runs in the manner of the `subprocess` module: what both forms have in common."""

from __future__ import annotations

from datetime import timedelta
from io import IOBase
from signal import Signals
from subprocess import CalledProcessError
from typing import IO, TYPE_CHECKING, Any

from contree_sdk._offload import read_input
from contree_sdk.sdk.objects.handle._base import MAIN, RunCore
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase


class ContreeProcessBase:
    """A run that begins when something is first asked of it."""

    def __init__(self, image: ImageLikeBase, check: bool) -> None:
        """`image` has a prepared run. Made by `popen`."""
        self._image = image
        self._check = check
        self._core: RunCore[Any] | None = None

    @property
    def args(self) -> list[str]:
        """The command and its arguments."""
        request = self._image._prepared_request()
        return [request.command, *(request.args or ())]

    @property
    def pid(self) -> int:
        """Its number among the processes of its sandbox: always 1."""
        return MAIN

    @property
    def stdin(self) -> IO[Any] | IOBase | None:
        """With `stdin=PIPE` what the input is to be written to, and closed at its end."""
        return self._image.stdin

    @property
    def stdout(self) -> Any:
        """What it wrote, once it has ended.

        Raises:
            ContreeImageStateError: It has not, or nobody has waited for it.
        """
        return self._image.stdout

    @property
    def stderr(self) -> Any:
        """Like `stdout`."""
        return self._image.stderr

    @property
    def returncode(self) -> int:
        """Its exit code, once it has ended; -1 when a signal ended it.

        Raises:
            ContreeImageStateError: It has not, or nobody has waited for it.
        """
        return self._image.exit_code

    async def _running(self) -> RunCore[Any]:
        core = self._core
        if core is None:
            self._core = core = await self._image._begin(keep_stdin_open=True)
            self._image = core.image
            await core.start()
        return core

    async def _wait(self) -> int:
        core = self._core
        if core is None:
            # The input is read to its end before the run begins.
            self._core = core = await self._image._begin()
        self._image = await core.finish_or_abandon()
        if self._check and self.returncode != 0:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)
        return self.returncode

    async def _communicate(
        self, input: IO_TYPES | None, timeout: float | timedelta | None
    ) -> tuple[Any, Any]:
        if self._core is None:
            if isinstance(timeout, timedelta):
                timeout = timeout.total_seconds()
            self._image._renew_request(stdin=input, timeout=timeout)
        elif input is not None or self._core.stdin_open:
            await self._core.write(MAIN, await read_input(input), True)
        await self._wait()
        return self.stdout, self.stderr

    async def _poll(self) -> int | None:
        return self.returncode if await (await self._running()).poll() else None

    async def _send_signal(self, signal: str | int | Signals | None) -> None:
        await (await self._running()).signal(MAIN, signal)

    async def _leave(self, failed: bool) -> None:
        """The end of a `with` block: waits for it, or cancels it when an error ended the block."""
        if failed:
            if self._core is not None:
                await self._core.abandon()
        else:
            check, self._check = self._check, False
            await self._wait()
            self._check = check

    def __repr__(self) -> str:
        return f"{type(self).__name__}(args={self.args!r}, image={self._image!r})"
