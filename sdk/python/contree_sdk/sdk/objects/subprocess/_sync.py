"""Runs in the manner of `subprocess.Popen`."""

from __future__ import annotations

from datetime import timedelta
from signal import SIGTERM, Signals
from types import TracebackType
from typing import TYPE_CHECKING, Any

from contree_sdk import _blocking
from contree_sdk.sdk.objects.subprocess._base import ContreeProcessBase
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._sync import ImageLikeSync


class ContreeProcessSync(ContreeProcessBase):
    """A process, in the manner of `subprocess.Popen`. Made by `popen`.

    It begins with the first of `wait`, `communicate`, `poll` and the signals. As a context manager it
    is waited for at the block's end; when an error ends the block, it is cancelled.
    """

    def __init__(self, image: ImageLikeSync, check: bool) -> None:
        super().__init__(image, check)

    def wait(self) -> int:
        """Waits for its end and returns the exit code. Ctrl-C cancels it.

        A pipe given as stdin is read to its end before the process begins: close it first, or write
        to it from another thread.

        Raises:
            subprocess.CalledProcessError: With `check`, for another exit code than 0.
            FailedOperationError: The program is not there, for example.
        """
        return _blocking.run(self._wait_and_check())

    def communicate(
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
        return _blocking.run(self._communicate(input, timeout))

    def poll(self) -> int | None:
        """The exit code when it has ended, else None."""
        return _blocking.run(self._poll())

    def send_signal(self, signal: str | int | Signals) -> None:
        """Sends it a signal: `signal.SIGINT`, `2` or `"INT"`."""
        _blocking.run(self._send_signal(signal))

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        _blocking.run(self._send_signal(SIGTERM))

    def kill(self) -> None:
        """Sends it SIGKILL."""
        _blocking.run(self._send_signal(None))

    def __enter__(self) -> ContreeProcessSync:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _blocking.run(self._leave(failed=kind is not None))
