"""A session as the sandbox of a deep agent."""

from __future__ import annotations

from uuid import uuid4

try:
    from deepagents.backends.protocol import (  # type: ignore[import-not-found, unused-ignore]
        ExecuteResponse,
        FileDownloadResponse,
        FileUploadResponse,
    )
    from deepagents.backends.sandbox import (  # type: ignore[import-not-found, unused-ignore]
        BaseSandbox,
    )
except ImportError as error:
    raise ImportError(
        "contree_sdk.langchain needs the package deepagents: pip install 'contree-sdk[langchain]'"
    ) from error

from contree_sdk import _blocking
from contree_sdk._offload import Turn
from contree_sdk.sdk.exceptions import NotFoundError, UnprocessableEntityError
from contree_sdk.sdk.objects.session import ContreeSession, ContreeSessionSync

_OUTPUT_BYTES = 10 * 1024 * 1024


class ContreeSandbox(BaseSandbox):  # type: ignore[misc, unused-ignore]
    """Every command goes on from what the last one left. Calls take turns."""

    def __init__(self, session: ContreeSession | ContreeSessionSync) -> None:
        """`session`: where the agent begins. A blocking one stays where it is: a copy moves on."""
        self._session = session if isinstance(session, ContreeSession) else ContreeSession(session)
        self._id = f"contree-{uuid4()}-from-{self._session.uuid}"
        self._turn = Turn()

    @property
    def id(self) -> str:
        """A name for this sandbox that no other has."""
        return self._id

    async def aupload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Writes files; paths that are not absolute are answered with `invalid_path`."""
        valid = {path: content for path, content in files if path.startswith("/")}
        if valid:
            async with self._turn:
                await self._session._apply_files((valid,), None)
        return [
            FileUploadResponse(path=path, error=None if path in valid else "invalid_path")
            for path, _ in files
        ]

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """As `aupload_files`, blocking."""
        return _blocking.run(self.aupload_files(files))

    async def adownload_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Reads files. What cannot be read is answered with `file_not_found` or `invalid_path`."""
        async with self._turn:
            return [await self._download(path) for path in paths]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """As `adownload_files`, blocking."""
        return _blocking.run(self.adownload_files(paths))

    async def _download(self, path: str) -> FileDownloadResponse:
        if not path.startswith("/"):
            return FileDownloadResponse(path=path, error="invalid_path")
        try:
            return FileDownloadResponse(path=path, content=await self._session._read_file(path))
        except NotFoundError:
            return FileDownloadResponse(path=path, error="file_not_found")
        except UnprocessableEntityError:
            return FileDownloadResponse(path=path, error="invalid_path")

    async def aexecute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Runs a line in the shell; `timeout` in seconds, None: the client's. Up to 10 MiB of stdout
        and of stderr are returned, one after the other."""
        async with self._turn:
            done = await self._session.run(
                shell=command, timeout=timeout, disposable=False, truncate_output_at=_OUTPUT_BYTES
            )._await()
            result = done.result
        return ExecuteResponse(
            output=result.stdout + result.stderr,
            exit_code=result.exit_code,
            truncated=result.truncated,
        )

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """As `aexecute`, blocking."""
        return _blocking.run(self.aexecute(command, timeout=timeout))
