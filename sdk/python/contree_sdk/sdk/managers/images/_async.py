"""Finding and importing images, on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

from contree_sdk._deprecation import deprecated
from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.managers.images._base import ImagesBase
from contree_sdk.sdk.objects.image._async import ContreeImage
from contree_sdk.utils.models.image import ImageKind
from contree_sdk.utils.oci import OCIReference


class ImagesManager(ImagesBase[ContreeImage]):
    def __init__(self, client: ClientBase) -> None:
        super().__init__(client, ContreeImage)

    async def __call__(
        self,
        number: int | None = 100,
        kind: ImageKind | None = None,
        tagged: bool = False,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
    ) -> list[ContreeImage]:
        """Lists images, newest first. One with several tags is listed once for each.

        Args:
            number: How many at most. None: all.
            kind: `ImageKind.IMPORTED`: only such; anything else: all.
            tagged: Only images with a tag.
            since: Only images made at or after this time, or at most this long ago.
            until: Only images made at or before this time, or at least this long ago. A time without a
                zone is UTC.
        """
        return await self._list(number, kind, tagged, since, until)

    async def __aiter__(self) -> AsyncIterator[ContreeImage]:
        """All images, newest first."""
        async for image in self._iter():
            yield image

    async def use(self, ref: str | UUID | OCIReference, strict: bool = False) -> ContreeImage:
        """An image that is on the server.

        Args:
            ref: Its uuid, or its tag; a reference such as `docker.io/library/debian` stands for the tag
                that its import gives it: `debian`.
            strict: Whether the server is asked for it. Otherwise nobody is, and whether it is there
                shows when it is used.

        Raises:
            NotFoundError: With `strict`: it is not there.
            ValueError: `ref` is empty or another URL than `docker://`.
        """
        return await self._use(ref, strict)

    async def oci(
        self,
        ref: str | OCIReference | UUID,
        *,
        tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImage:
        """The image with the tag of a reference; imported when it is not there.

        Args:
            ref: `debian:bookworm`, `ghcr.io/owner/name:1`, `docker://…`, or a uuid.
            tag: The tag, in place of the reference's own.
            username: For registries that ask for it; together with `password`.
            password: For registries that ask for it; together with `username`.
            timeout: Seconds for the import. None: `ContreeConfig.operation_import_timeout`, else
                `operation_timeout`.

        Raises:
            NotFoundError: There is no image with this uuid.
            FailedOperationError: It cannot be imported.
            ValueError: Only one of `username` and `password`, or `ref` is no reference.
        """
        return await self._oci(ref, tag, username, password, timeout)

    docker = podman = pull_by_oci = oci

    async def import_from(
        self,
        image: str | OCIReference,
        *,
        tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImage:
        """Imports an image from a registry, whether or not it was imported before. The parameters and
        the errors are those of `oci`."""
        return await self._import(image, tag, username, password, timeout)

    @deprecated("use() finds an image, oci() and import_from() import one")
    async def pull(
        self,
        url_or_tag_or_uuid: str | UUID,
        *,
        new_tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImage:
        """The older way: imports a URL, or anything with a username and a password; finds what has
        this uuid or exactly this tag."""
        return await self._pull(url_or_tag_or_uuid, new_tag, username, password, timeout)
