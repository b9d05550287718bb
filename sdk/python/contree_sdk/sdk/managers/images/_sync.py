"""Finding and importing images, blocking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from contree_sdk import _blocking
from contree_sdk._deprecation import deprecated
from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.managers.images._base import ImagesBase
from contree_sdk.sdk.objects.image._sync import ContreeImageSync
from contree_sdk.utils.models.image import ImageKind
from contree_sdk.utils.oci import OCIReference


class ImagesManagerSync(ImagesBase[ContreeImageSync]):
    def __init__(self, client: ClientBase) -> None:
        super().__init__(client, ContreeImageSync)

    def __call__(
        self,
        number: int | None = 100,
        kind: ImageKind | None = None,
        tagged: bool = False,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
    ) -> list[ContreeImageSync]:
        """Lists images, newest first. One with several tags is listed once for each.

        Args:
            number: How many at most. None: all.
            kind: `ImageKind.IMPORTED`: only such; anything else: all.
            tagged: Only images with a tag.
            since: Only images made at or after this time, or at most this long ago.
            until: Only images made at or before this time, or at least this long ago. A time without a
                zone is UTC.
        """
        return _blocking.run(self._list(number, kind, tagged, since, until))

    def __iter__(self) -> Iterator[ContreeImageSync]:
        """All images, newest first."""
        images = self._iter()

        async def following() -> ContreeImageSync | None:
            return await anext(images, None)

        while (image := _blocking.run(following())) is not None:
            yield image

    def use(self, ref: str | UUID | OCIReference, strict: bool = False) -> ContreeImageSync:
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
        return _blocking.run(self._use(ref, strict))

    def oci(
        self,
        ref: str | OCIReference | UUID,
        *,
        tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImageSync:
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
        return _blocking.run(self._oci(ref, tag, username, password, timeout))

    docker = podman = pull_by_oci = oci

    def import_from(
        self,
        image: str | OCIReference,
        *,
        tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImageSync:
        """Imports an image from a registry, whether or not it was imported before. The parameters and
        the errors are those of `oci`."""
        return _blocking.run(self._import(image, tag, username, password, timeout))

    @deprecated("use() finds an image, oci() and import_from() import one")
    def pull(
        self,
        url_or_tag_or_uuid: str | UUID,
        *,
        new_tag: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
    ) -> ContreeImageSync:
        """The older way: imports a URL, or anything with a username and a password; finds what has
        this uuid or exactly this tag."""
        return _blocking.run(self._pull(url_or_tag_or_uuid, new_tag, username, password, timeout))
