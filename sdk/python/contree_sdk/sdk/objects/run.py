"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from contree_sdk.utils.io_wrap import IO_TYPES
from contree_sdk.utils.models.file import UploadFileSpec

REQUEST_IO_TYPES: TypeAlias = IO_TYPES | type[str | bytes] | None
"""Where output goes: `str` or None for text, `bytes`, or anything of `IO_TYPES`."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A prepared run. What the fields mean is said at `run`, which fills them."""

    command: str
    args: list[str] | None = None
    shell: bool | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    cwd: str | None = None
    hostname: str | None = None

    files: list[UploadFileSpec] = field(default_factory=list)

    timeout: float | None = None
    disposable: bool
    tag: str | None = None
    stdin: IO_TYPES | None = None

    stderr: REQUEST_IO_TYPES = None
    stdout: REQUEST_IO_TYPES = None

    truncate_output_at: int | None = None

    preserve_env: bool = False

    preserve_cwd: bool = False
    networking: bool | None = None
    max_layer_bytes: int | None = None
    uid: int | None = None
    gid: int | None = None
