"""Runs in the manner of `asyncio.subprocess.Process`."""

from __future__ import annotations

from datetime import timedelta
from signal import SIGTERM, Signals
from types import TracebackType
from typing import TYPE_CHECKING, Any

from contree_sdk.sdk.objects.handle._base import MAIN
from contree_sdk.sdk.objects.subprocess._base import ContreeProcessBase
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._async import ImageLike


class ContreeProcess(ContreeProcessBase):
    """A process, in the manner of `asyncio.subprocess.Process`. Made by `popen`.

    It begins with the first of `wait`, `communicate`, `poll`, `write_stdin` and the signals.
    `async with` waits for it at the block's end; when an error ends the block, it is cancelled.
    """

    def __init__(self, image: ImageLike, check: bool) -> None:
        super().__init__(image, check)

    async def wait(self) -> int:
        """Waits for its end and returns the exit code. Cancelling this cancels it.

        When it has not begun, a pipe given as stdin is read to its end first: close it before, or use
        `write_stdin`, with which it begins.

        Raises:
            subprocess.CalledProcessError: With `check`, for another exit code than 0.
            FailedOperationError: The program is not there, for example.
        """
        return await self._wait_and_check()

    async def communicate(
        self, input: IO_TYPES | None = None, timeout: float | timedelta | None = None
    ) -> tuple[Any, Any]:
        """Gives it input, ends that, waits for the process' end and returns stdout and stderr. What the
        exit code is makes no difference, also with `check`.

        Args:
            input: In place of `popen`'s; None: `popen`'s. The rest of it where the process has begun.
            timeout: Seconds until it is killed, in place of `popen`'s; None: `popen`'s. A process that
                has begun is cancelled after as many seconds from now.

        Raises:
            FailedOperationError: The program is not there, for example.
            OperationTimedOutError: It was cancelled because of `timeout`, or did not get its turn.
        """
        return await self._communicate(input, timeout)

    async def poll(self) -> int | None:
        """The exit code when it has ended, else None."""
        return await self._poll()

    async def write_stdin(self, data: bytes | str) -> None:
        """Writes to its input while it runs; needs `stdin=PIPE`."""
        await (await self._running()).write(MAIN, data, False)

    async def close_stdin(self) -> None:
        """Ends its input."""
        await (await self._running()).write(MAIN, b"", True)

    async def send_signal(self, signal: str | int | Signals) -> None:
        """Sends it a signal: `signal.SIGINT`, `2` or `"INT"`."""
        await self._send_signal(signal)

    async def terminate(self) -> None:
        """Sends it SIGTERM."""
        await self._send_signal(SIGTERM)

    async def kill(self) -> None:
        """Sends it SIGKILL."""
        await self._send_signal(None)

    async def __aenter__(self) -> ContreeProcess:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave(failed=kind is not None)
