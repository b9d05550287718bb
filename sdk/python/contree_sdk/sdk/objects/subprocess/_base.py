"""Runs in the manner of the `subprocess` module: what both forms have in common."""

from __future__ import annotations

from datetime import timedelta
from io import IOBase
from signal import Signals
from subprocess import CalledProcessError
from typing import IO, TYPE_CHECKING, Any

from contree_sdk._offload import read_input
from contree_sdk.sdk.exceptions import ApiStatusCodeError
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
        return self.returncode

    async def _wait_and_check(self) -> int:
        code = await self._wait()
        if self._check and code != 0:
            raise CalledProcessError(code, self.args, self.stdout, self.stderr)
        return code

    async def _communicate(
        self, input: IO_TYPES | None, timeout: float | timedelta | None
    ) -> tuple[Any, Any]:
        if isinstance(timeout, timedelta):
            timeout = timeout.total_seconds()
        if self._core is None:
            self._image._renew_request(stdin=input, timeout=timeout)
            self._image._end_input()
        else:
            if timeout is not None:
                self._core.end_within(timeout)
            await self._last_input(self._core, input)
        await self._wait()
        return self.stdout, self.stderr

    async def _last_input(self, core: RunCore[Any], input: IO_TYPES | None) -> None:
        """Gives it the rest of its input, which whoever has ended does not need."""
        was_open = core.stdin_open
        if input is None and not was_open:
            return
        try:
            await core.write(MAIN, await read_input(input), True)
        except ApiStatusCodeError as error:
            # 409 as well where there was no input from the beginning.
            if error.status not in ((404, 409, 410) if was_open else (404, 410)):
                raise

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
            await self._wait()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(args={self.args!r}, image={self._image!r})"
