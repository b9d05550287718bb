"""What the Rust core offers to the package. Everything that talks to the server returns a Pending."""

from collections.abc import Generator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

class Pending(Generic[_T]):
    """Work that is done when awaited. On an event loop: a real awaitable of that loop. Where `_blocking.run`
    drives: blocks with the GIL released; Ctrl-C is heard. Used once."""

    def __await__(self) -> Generator[Any, None, _T]: ...

class Client:
    def __init__(
        self, *, base_url: str, user_agent: str,
        headers: list[tuple[str, str]],   # sent with every request
        timeout: float,          # seconds for a request, and of silence in a stream of bytes
        retries: int,            # further attempts of repeatable requests
        busy_timeout: float,     # seconds for which 429 on spawn and import is waited out
    ) -> None: ...
    def whoami(self) -> Pending[dict[str, Any]]: ...                    # the server's JSON
    def list_images(self, *, offset: int, limit: int, since: str | None, until: str | None, tagged: bool, kind: int | None) -> Pending[list[tuple[str, str | None]]]: ...  # (uuid, tag)
    def image_by_uuid(self, uuid: str) -> Pending[tuple[str, str | None]]: ...
    def image_by_tag(self, tag: str) -> Pending[tuple[str, str | None]]: ...
    def set_tag(self, uuid: str, tag: str) -> Pending[None]: ...
    def delete_tag(self, uuid: str, tag: str | None = None) -> Pending[None]: ...
    def list_directory(self, uuid: str, path: str) -> Pending[list[dict[str, Any]]]: ...   # the 15 fields each
    def read_file(self, uuid: str, path: str) -> Pending[bytes]: ...
    def download_file(self, uuid: str, path: str, local_path: str) -> Pending[int]: ...     # streamed to disk; bytes
    def archive(self, uuid: str, path: str, local_path: str | None, gzip: bool) -> Pending[bytes | None]: ...  # tar; into memory without local_path
    def grep(self, uuid: str, *, patterns: list[str], paths: list[str], globs: list[str], case: str, before: int, after: int,
             max_count: int | None, max_total: int | None) -> Pending[dict[str, Any]]: ...  # the server's JSON
    def upload_path(self, path: str) -> Pending[tuple[str, str, int]]: ...                  # hashed, sent only if missing: (uuid, sha256, size)
    def upload_bytes(self, data: bytes) -> Pending[tuple[str, str, int]]: ...
    def spawn(
        self, *, command: str, image: str, args: list[str], shell: bool, env: dict[str, str | None], cwd: str, hostname: str,
        disposable: bool, stdin: bytes, stdin_open: bool, timeout: int, truncate_output_at: int,
        files: list[tuple[str, str | bytes | None, str | None, int, int, str]],
        # (destination, local path or content, uuid of an uploaded file, uid, gid, mode "0644"); uploads happen here, several at once
        preserve_env: bool, preserve_cwd: bool, networking: bool | None, max_layer_bytes: int | None, uid: int | None, gid: int | None,
    ) -> Run: ...                                                                            # nothing is sent before its first Pending is awaited
    def import_image(self, *, url: str, tag: str | None, username: str | None, password: str | None, timeout: int) -> Run: ...
    def attach(self, uuid: str) -> Run: ...                                                  # an operation that is there

class Run:
    """An operation. Its Pendings may be made several times (each is used once)."""

    @property
    def uuid(self) -> str | None: ...                                    # None until the server has accepted it
    def status(self) -> Pending[str]: ...                                # one question: "PENDING", "EXECUTING", "SUCCESS" ...
    def started(self) -> Pending[str]: ...                               # sends it if need be; the operation's uuid
    def finished(self, deadline: float | None = None) -> Pending[Outcome]: ...
        # deadline: seconds from when the server accepted it; then it is cancelled. Strict (also while executing) where it is
        # less than the timeout that the run was spawned with. Raises FailedOperationError, CancelledOperationError, OperationTimedOutError, WrongOperationTypeError
    def abandon(self) -> Pending[None]: ...                              # cancelled from this call on, awaited or not; raises nothing that the server says
    def cancel(self) -> Pending[None]: ...                               # DELETE; raises
    def events(self, *, spid: int | None = None, after: int | None = None) -> Events: ...
    def exec(self, *, command: str, args: list[str], shell: bool, env: dict[str, str | None], cwd: str, stdin: bytes, stdin_open: bool,
             truncate_output_at: int, uid: int | None, gid: int | None) -> Pending[int]: ... # spid
    def write_stdin(self, spid: int, data: bytes, close: bool) -> Pending[None]: ...         # 425 (not started yet) is waited out
    def signal(self, spid: int, signal: str | None) -> Pending[None]: ...
    def process_result(self, spid: int) -> Pending[Outcome]: ...

class Outcome:
    """How a run ended. Can be pickled; copies are itself."""

    operation: str
    image: str | None
    tag: str | None
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    stderr_truncated: bool
    exit_code: int
    signal: int
    timed_out: bool
    elapsed_time: float
    cost: float
    metadata: str            # the operation's metadata as the server's JSON

class Events:
    """The events of a run, over as many connections as it takes."""

    def next(self) -> Pending[Event | None]: ...                         # None: no more

class Event:
    id: int | None
    type: str
    spid: int | None
    data: bytes | None       # decoded bytes of stdin, stdout, stderr; else None
    json: str                # the whole event
