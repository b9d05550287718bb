"""Finding and importing images: what both forms have in common."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.exceptions import FailedOperationError, NotFoundError
from contree_sdk.utils.models.image import ImageKind
from contree_sdk.utils.oci import OCIReference

if TYPE_CHECKING:
    from contree_sdk.sdk.objects.image_like._base import ImageLikeBase

logger = logging.getLogger(__name__)

_I = TypeVar("_I", bound="ImageLikeBase")


class ImagesBase(Generic[_I]):
    """`client.images`: calling it lists images, iterating goes through all of them."""

    def __init__(self, client: ClientBase, make: Callable[..., _I]) -> None:
        self._client = client
        self._make = make

    async def _iter(
        self,
        number: int | None = None,
        kind: ImageKind | None = None,
        tagged: bool = False,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
    ) -> AsyncIterator[_I]:
        """Images page by page. New ones that come in between push others to the next page: those are
        not given twice."""
        batch = self._client.config.images_list_batch_size
        started = monotonic()
        seen: set[tuple[str, str | None]] = set()
        offset = 0
        while number is None or offset < number:
            limit = batch if number is None else min(batch, number - offset)
            elapsed = timedelta(seconds=monotonic() - started)
            page = await self._client._core.list_images(
                offset=offset,
                limit=limit,
                since=_bound(since, elapsed),
                until=_bound(until, elapsed),
                tagged=tagged,
                kind=int(kind) if kind else None,
            )
            for entry in page:
                if entry not in seen:
                    seen.add(entry)
                    yield self._image(*entry)
            offset += len(page)
            if len(page) < limit:
                return

    async def _list(
        self,
        number: int | None,
        kind: ImageKind | None,
        tagged: bool,
        since: datetime | timedelta | None,
        until: datetime | timedelta | None,
    ) -> list[_I]:
        return [image async for image in self._iter(number, kind, tagged, since, until)]

    def _image(self, uuid: UUID | str | None, tag: str | None) -> _I:
        return self._make(self._client, uuid, tag)

    async def _use(self, ref: str | UUID | OCIReference, strict: bool) -> _I:
        what = _parsed(ref)
        if isinstance(what, UUID):
            return await self._by_uuid(what) if strict else self._image(what, None)
        return await self._by_tag(what.tag) if strict else self._image(None, what.tag)

    async def _by_uuid(self, uuid: UUID) -> _I:
        return self._image(*await self._client._core.image_by_uuid(str(uuid)))

    async def _by_tag(self, tag: str) -> _I:
        uuid, own = await self._client._core.image_by_tag(tag)
        return self._image(uuid, own or tag)

    async def _oci(
        self,
        ref: str | OCIReference | UUID,
        tag: str | None,
        username: str | None,
        password: str | None,
        timeout: float | None,
    ) -> _I:
        what = _parsed(ref)
        if isinstance(what, UUID):
            return await self._by_uuid(what)
        try:
            return await self._by_tag(tag or what.tag)
        except NotFoundError:
            logger.debug("%s is not here: it is imported", what.url)
        return await self._import(what, tag, username, password, timeout)

    async def _import(
        self,
        image: str | OCIReference,
        tag: str | None,
        username: str | None,
        password: str | None,
        timeout: float | None,
    ) -> _I:
        what = _parsed(image)
        if isinstance(what, UUID):
            raise ValueError(f"Cannot import image by UUID {what}")
        if bool(username) != bool(password):
            raise ValueError("Both username and password must be provided")
        config = self._client.config
        asked = timeout or config.operation_import_timeout or config.operation_timeout
        self._client._warn_if_beyond(asked, "images_import_max_timeout")
        run = self._client._core.import_image(
            url=what.url,
            tag=tag or what.tag,
            username=username or None,
            password=password or None,
            timeout=ceil(asked),
        )
        try:
            outcome = await run.finished(asked)
        except GeneratorExit:
            raise
        except BaseException:
            await run.abandon()
            raise
        if outcome.image is None:
            raise FailedOperationError(UUID(outcome.operation), "the import has left no image")
        return self._image(outcome.image, outcome.tag)

    async def _pull(
        self,
        ref: str | UUID,
        new_tag: str | None,
        username: str | None,
        password: str | None,
        timeout: float | None,
    ) -> _I:
        if isinstance(ref, UUID):
            return await self._by_uuid(ref)
        if not isinstance(ref, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"Expected str for url_or_tag_or_uuid, got {type(ref)}")
        with suppress(ValueError):
            return await self._by_uuid(UUID(ref))
        if urlsplit(ref).netloc or username or password:
            return await self._import(ref, new_tag, username, password, timeout)
        return await self._by_tag(ref)


def _parsed(ref: str | UUID | OCIReference) -> UUID | OCIReference:
    if isinstance(ref, UUID | OCIReference):
        return ref
    with suppress(ValueError):
        return UUID(ref)
    return OCIReference.from_oci(ref)


def _bound(value: datetime | timedelta | None, elapsed: timedelta) -> str | None:
    """As the server takes times. One that is relative stays where it was when listing began."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return f"{(value + elapsed).total_seconds():.0f}s"
    utc = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
    return utc.isoformat()
