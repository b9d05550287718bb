"""How a run ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from contree_sdk._native import Outcome
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES, RunRequest
from contree_sdk.utils.codecs import text_of
from contree_sdk.utils.io_wrap import IO_TYPES, IOMode, PipeIO, get_io_by_obj

_SHOWN = 200
"""Bytes of output that a `repr` shows at most."""


@dataclass(frozen=True)
class ContreeResult:
    """How a run, or a further process in one, ended."""

    stderr: Any
    """Like `stdout`."""
    stdout: Any
    """What was written there: `str` unless the run was asked for something else; then `bytes`, or
    the file object that it was written to, or the pipe to read it from."""
    exit_code: int
    """0 to 255; -1 when a signal ended the process."""
    elapsed_time: timedelta
    """How long the process ran, without waiting for its turn."""
    cost: float = field(repr=False)
    """What the server charges; 0 unless its operator has set a price."""

    _raw: Outcome | None = field(default=None, repr=False, compare=False)

    @property
    def truncated(self) -> bool:
        """Whether stdout or stderr was cut at `truncate_output_at`."""
        return self.stdout_truncated or self.stderr_truncated

    @property
    def stdout_truncated(self) -> bool:
        """Whether stdout was cut."""
        return self._raw is not None and self._raw.stdout_truncated

    @property
    def stderr_truncated(self) -> bool:
        """Whether stderr was cut."""
        return self._raw is not None and self._raw.stderr_truncated

    @property
    def stdout_bytes(self) -> bytes:
        """Stdout as it was written, whatever `stdout` is."""
        return self._outcome.stdout

    @property
    def stderr_bytes(self) -> bytes:
        """Stderr as it was written, whatever `stderr` is."""
        return self._outcome.stderr

    @property
    def timed_out(self) -> bool:
        """Whether the process was killed because its time was up."""
        return self._outcome.timed_out

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the process; None when it exited by itself."""
        signal = self._outcome.signal
        return signal if signal > 0 else None

    @property
    def operation_uuid(self) -> UUID:
        """The operation, as `client.operations` and the command line know it."""
        return UUID(self._outcome.operation)

    @property
    def metadata(self) -> dict[str, Any]:
        """All that the server tells, for example `result.resources`."""
        metadata: dict[str, Any] = json.loads(self._outcome.metadata)
        return metadata

    @property
    def _outcome(self) -> Outcome:
        if self._raw is None:
            raise RuntimeError("a result that was not made by a run has no more than its fields")
        return self._raw

    def _summary(self) -> list[str]:
        """How it ended, and the first line of what was written, for a `repr`."""
        parts = [f"exit_code={self.exit_code}"]
        if self._raw is not None:
            parts += [f"signal={self.signal}"] if self.signal else []
            parts += ["timed_out=True"] if self.timed_out else []
            for stream in ("stdout", "stderr"):
                output: bytes = getattr(self._raw, stream)
                if output:
                    line, _, more = output[:_SHOWN].partition(b"\n")
                    dots = "…" if more or len(output) > _SHOWN else ""
                    return [*parts, f"{stream}={text_of(line) + dots!r}"]
        return parts

    @classmethod
    def from_result(cls, raw_result: Outcome, request: RunRequest) -> ContreeResult:
        """The result with its output put where the request wants it.

        Raises:
            OSError: a file for output cannot be written.
            TypeError: something that nothing can be written to.
        """
        return cls(
            exit_code=raw_result.exit_code,
            stdout=_place(raw_result.stdout, raw_result.stdout_truncated, request.stdout),
            stderr=_place(raw_result.stderr, raw_result.stderr_truncated, request.stderr),
            elapsed_time=timedelta(seconds=raw_result.elapsed_time),
            cost=raw_result.cost,
            _raw=raw_result,
        )


def _place(output: bytes, truncated: bool, wanted: REQUEST_IO_TYPES) -> Any:
    if wanted is bytes:
        return output
    if wanted is str or wanted is None:
        return text_of(output, truncated)
    target: Any = get_io_by_obj(cast("IO_TYPES", wanted), IOMode.write)
    try:
        target.write(output)
    except TypeError:
        # It takes text.
        target.write(text_of(output, truncated))
    if hasattr(target, "flush"):
        target.flush()
    if isinstance(target, PipeIO):
        target.close()
    return target
