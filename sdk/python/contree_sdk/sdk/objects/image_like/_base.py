"""Runs, for images and sessions, blocking and asynchronous.

An image does not change: `run` returns a copy that is PREPARED, and whatever executes it copies once
more, so that a prepared run can be used many times. A session is the same without the copies: it moves
on to the image of each run.

The logic is written once, as coroutines that await only what the native module gives them. The
asynchronous classes await them on the caller's event loop, the blocking ones drive them with
`_blocking.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from io import IOBase
from math import ceil
from pathlib import PurePath, PurePosixPath
from subprocess import PIPE
from typing import IO, Any, TypeVar
from uuid import UUID

from contree_sdk._native import Outcome, Run
from contree_sdk._offload import read_input
from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.exceptions import (
    ApiStatusCodeError,
    ContreeImageStateError,
    DisposableImageRunError,
)
from contree_sdk.sdk.objects.handle._base import RunCore
from contree_sdk.sdk.objects.image_like._arguments import (
    command_line,
    files_of,
    input_of,
    name,
    natural,
    output_of,
    size,
    variables,
    whole_seconds,
    words,
)
from contree_sdk.sdk.objects.image_like._inspect import Inspection
from contree_sdk.sdk.objects.image_like.result import ContreeResult
from contree_sdk.sdk.objects.image_like.state import TRANSITIONS, ImageState
from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES, RunRequest
from contree_sdk.utils.io_wrap import IO_TYPES, IOMode, PipeIO, get_io_by_obj
from contree_sdk.utils.models.file import FilesArgument, UploadFileSpec

_T = TypeVar("_T", bound="ImageLikeBase")


class ImageLikeBase(Inspection):
    """What images and sessions have in common."""

    def __init__(self, client: ClientBase, uuid: UUID | str | None, tag: str | None) -> None:
        """One of `uuid` and `tag` says which image it is. Made by `client.images`."""
        self._client = client
        self.uuid = UUID(uuid) if isinstance(uuid, str) else uuid
        self.tag = tag
        self._request: RunRequest | None = None
        self._pipe: PipeIO | None = None
        self._result: ContreeResult | None = None
        self._state = ImageState.PULLED

    def run(
        self: _T,
        command: str | None = None,
        *,
        shell: str | None = None,
        args: Iterable[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | PurePosixPath | None = None,
        hostname: str | None = None,
        stdin: IO_TYPES | None = None,
        stdout: REQUEST_IO_TYPES = None,
        stderr: REQUEST_IO_TYPES = None,
        tag: str | None = None,
        files: FilesArgument | None = None,
        timeout: float | timedelta | None = None,
        disposable: bool = True,
        truncate_output_at: int | None = None,
        preserve_env: bool = False,
        preserve_cwd: bool = False,
        networking: bool | None = None,
        max_layer_bytes: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> _T:
        """Prepares a run. Nothing is sent before it is awaited (`wait()` in the blocking form),
        started with `start()` or followed with `stream()`.

        Args:
            command: A program, looked up in the image's PATH.
            shell: A line for the image's shell; wins over `command`.
            args: The program's arguments; for `shell` `$0`, `$1` and so on.
            env: Variables, over those of the image; None takes one of the image's away.
            cwd: The working directory, made when it is not there. None: the image's, else `/`.
            hostname: None: `hostname`.
            stdin: Text, bytes, a `Path`, a file object, or `subprocess.PIPE` to write to `stdin` of
                what is returned. Files are read whenever the run is executed. None: no input.
            stdout: `str` or None for text, `bytes`, the path of a file or a file object to write it
                to, or `subprocess.PIPE` to read it from.
            stderr: Like `stdout`.
            tag: A tag for the image that the run makes; needs `disposable=False`.
            files: Files that come along: a list (each goes into `/` under its own name) of paths and
                `UploadFileSpec`, or a dict from the path in the image to a path, bytes or
                `UploadFileSpec`.
            timeout: Seconds, rounded up to whole ones, until the command is killed; its result then
                has `timed_out`. A run that does not get its turn in this time ends with
                `OperationTimedOutError`. None: `ContreeConfig.operation_run_timeout`, else
                `operation_timeout`.
            disposable: Whether what the command writes is thrown away. Only what `disposable=False`
                leaves can be run again.
            truncate_output_at: Bytes of stdout and of stderr that are kept. None:
                `ContreeConfig.default_truncate_output_at`.
            preserve_env: Whether the image that is made keeps `env`.
            preserve_cwd: Whether the image that is made keeps `cwd`.
            networking: Whether the command reaches the network. None: as the server is set up.
            max_layer_bytes: Bytes that the command may write. None: the server's limit.
            uid: Who runs the command, by number. None: root.
            gid: The group, by number. None: root's.

        Returns:
            An image copies itself, a session returns itself; PREPARED in either case.

        Raises:
            DisposableImageRunError: This is what a disposable run left: no image.
            ContreeImageStateError: A run is prepared or under way already.
            ValueError: Neither `command` nor `shell`; files without a name, or two for one path; a
                number that is negative or beyond all bounds; a file object that is closed.
            TypeError: Something that cannot be read from or written to; words or variables that are
                no strings.
            OSError: A file given as `stdin` or in `files` is not there; one for output cannot be
                written, or a file object not be read from or written to.
        """
        if self.uuid is None and not self.tag:
            raise DisposableImageRunError
        self._assert_transition(ImageState.PREPARED)
        request = RunRequest(
            command=command_line(command, shell),
            args=words(args),
            shell=shell is not None,
            env=variables(env),
            cwd=None if cwd is None else str(cwd),
            hostname=name("hostname", hostname) or "hostname",
            stdin=input_of(stdin),
            stdout=output_of(stdout),
            stderr=output_of(stderr),
            tag=name("tag", tag),
            files=files_of(files),
            timeout=whole_seconds(timeout),
            disposable=disposable,
            truncate_output_at=size("truncate_output_at", truncate_output_at),
            preserve_env=preserve_env,
            preserve_cwd=preserve_cwd,
            networking=networking,
            max_layer_bytes=size("max_layer_bytes", max_layer_bytes),
            uid=natural("uid", uid),
            gid=natural("gid", gid),
        )
        prepared = self._step()
        prepared._state = ImageState.PREPARED
        prepared._request = request
        prepared._pipe = PipeIO() if stdin == PIPE else None
        return prepared

    def _popen(
        self: _T,
        args: Sequence[str] | str | None,
        *,
        stdin: IO_TYPES | None,
        stdout: REQUEST_IO_TYPES,
        stderr: REQUEST_IO_TYPES,
        shell: bool,
        text: bool | None,
        **others: Any,
    ) -> _T:
        """The prepared run for `popen`."""
        kind = None if text is None else str if text else bytes
        line = [args] if isinstance(args, str) else list(args or ())
        first = line[0] if line else None
        return self.run(
            None if shell else first,
            shell=first if shell else None,
            args=line[1:],
            stdin=stdin,
            stdout=kind if stdout is None else stdout,
            stderr=kind if stderr is None else stderr,
            **others,
        )

    def _renew_request(self, **changes: Any) -> None:
        """Changes a prepared run: what is None stays."""
        self._assert_state(ImageState.PREPARED)
        given = {name: value for name, value in changes.items() if value is not None}
        if "stdin" in given:
            self._pipe = None
        self._request = replace(self._prepared_request(), **given)

    def _end_input(self) -> None:
        """Nothing more is written to the pipe of a prepared run."""
        if self._pipe is not None:
            self._pipe._end()

    async def _await(self: _T) -> _T:
        """Executes the prepared run. Cancelled or interrupted, it cancels the run."""
        run = await self._begin()
        return await run.finish_or_abandon()

    async def _apply_files(self: _T, args: tuple[Any, ...], files: FilesArgument | None) -> _T:
        specs: list[UploadFileSpec] = []
        for given in (*args, files or []):
            alone = isinstance(given, str | PurePath | UploadFileSpec)
            listed: Any = [given] if alone else given
            specs += UploadFileSpec._prepare_files(listed)
        return await self.run(shell="true", files=specs, disposable=False)._await()

    async def _begin(self: _T, *, keep_stdin_open: bool = False) -> RunCore[_T]:
        """A run that is sent with the first thing that it is asked for.

        `keep_stdin_open`: what was not yet written to a pipe may still be written to the run.
        """
        request = self._prepared_request()
        self._assert_transition(ImageState.EXECUTING)
        image = self._step()
        image._state = ImageState.EXECUTING
        try:
            if request.tag and request.disposable:
                raise ApiStatusCodeError(
                    status=400,
                    error="no image to tag is left by a disposable run: say disposable=False",
                )
            if keep_stdin_open and self._pipe is not None:
                return image._spawn(request, None)
            source = request.stdin if self._pipe is None else self._pipe
            return image._spawn(request, await read_input(source))
        except BaseException:
            image._state = ImageState.FAILED
            raise

    def _spawn(self: _T, request: RunRequest, stdin: bytes | None) -> RunCore[_T]:
        """`stdin` None: what is in the pipe, and what will be written to it."""
        config = self._client.config
        asked = request.timeout or config.operation_run_timeout or config.operation_timeout
        self._client._warn_if_beyond(asked, "instance_max_timeout")
        pipe, whole = self._pipe, True
        if stdin is None:
            assert pipe is not None
            stdin, whole = pipe._drain()
        run = self._client._core.spawn(
            command=request.command,
            image=f"tag:{self.tag}" if self.uuid is None else str(self.uuid),
            args=request.args or [],
            shell=bool(request.shell),
            env=request.env,
            cwd=request.cwd or "",
            hostname=request.hostname or "hostname",
            disposable=request.disposable,
            stdin=stdin,
            stdin_open=not whole,
            timeout=ceil(asked),
            truncate_output_at=request.truncate_output_at or config.default_truncate_output_at,
            files=[file._wire() for file in request.files],
            preserve_env=request.preserve_env,
            preserve_cwd=request.preserve_cwd,
            networking=request.networking,
            max_layer_bytes=request.max_layer_bytes,
            uid=request.uid,
            gid=request.gid,
        )
        if not whole and pipe is not None:
            pipe._forward(self._later_input(run))
        return RunCore(self, run, deadline=asked, stdin_open=not whole)

    def _later_input(self, run: Run) -> Callable[[bytes, bool], None]:
        """Takes what is written to the pipe of a run that has begun, and whether it is the end."""
        raise NotImplementedError

    def _take(self, outcome: Outcome) -> None:
        """Moves on to what a run has left."""
        self._state = ImageState.SUCCEEDED
        self.uuid = UUID(outcome.image) if outcome.image else None
        self.tag = outcome.tag
        request = self._prepared_request()
        try:
            self._result = ContreeResult.from_result(outcome, request)
        except BaseException:
            # Where output finds no place any more, what the run has left is not lost with it.
            plain = replace(request, stdout=None, stderr=None)
            self._result = ContreeResult.from_result(outcome, plain)
            raise

    def _fail(self) -> None:
        """Gives up the run that is under way; the image is still the one before it."""
        if self._state == ImageState.EXECUTING:
            self._state = ImageState.FAILED

    def _step(self: _T) -> _T:
        """What the next state belongs to: a copy, or a session itself."""
        copied = copy(self)
        copied._result = None
        return copied

    def _twin(self: _T) -> _T:
        return copy(self)

    def _prepared_request(self) -> RunRequest:
        if self._request is None:
            raise RuntimeError("Run request has not been set: nothing was prepared with run()")
        return self._request

    def _assert_state(self, *states: ImageState) -> None:
        if self._state not in states:
            raise ContreeImageStateError(self.uuid, self._state, list(states))

    def _assert_transition(self, state: ImageState) -> None:
        if state not in TRANSITIONS[self._state]:
            raise ContreeImageStateError(self.uuid, self._state, list(TRANSITIONS[self._state]))

    @property
    def client(self) -> Any:
        """The client that it came from."""
        return self._client

    @property
    def state(self) -> ImageState:
        """What it is at."""
        return self._state

    @property
    def result(self) -> ContreeResult:
        """How the run ended.

        Raises:
            ContreeImageStateError: No run of it has ended.
        """
        self._assert_state(ImageState.SUCCEEDED)
        if self._result is None:
            raise RuntimeError("Result has not been set")
        return self._result

    @property
    def stdin(self) -> IOBase | IO[Any] | None:
        """The prepared input; with `stdin=PIPE` what it is to be written to."""
        if self._pipe is None and self._request is not None:
            return get_io_by_obj(self._request.stdin or "", IOMode.read)
        return self._pipe

    @property
    def stdout(self) -> Any:
        """The result's: `str`, or whatever `run` was told."""
        return self.result.stdout

    @property
    def stderr(self) -> Any:
        """The result's: `str`, or whatever `run` was told."""
        return self.result.stderr

    @property
    def exit_code(self) -> int:
        """The result's: 0 to 255; -1 when a signal ended the command."""
        return self.result.exit_code

    @property
    def elapsed(self) -> timedelta:
        """The result's: how long the command ran."""
        return self.result.elapsed_time

    def __repr__(self) -> str:
        parts = [f"uuid={str(self.uuid)!r}"] if self.uuid else []
        parts += [f"tag={self.tag!r}"] if self.tag else []
        parts += [f"state={self._state}"]
        if self._state == ImageState.SUCCEEDED and self._result is not None:
            parts += self._result._summary()
        return f"{type(self).__name__}({', '.join(parts)})"
