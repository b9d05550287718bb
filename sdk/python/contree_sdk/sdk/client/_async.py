"""The client for event loops."""

from __future__ import annotations

from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.managers.files._async import FilesManager
from contree_sdk.sdk.managers.images._async import ImagesManager
from contree_sdk.sdk.managers.operations._async import OperationsManager
from contree_sdk.utils.models.auth import WhoAmI


class Contree(ClientBase):
    """A client whose calls are awaited. It may be used on several event loops and by several
    threads; there is nothing to close."""

    images: ImagesManager
    """Finding and importing images."""
    files: FilesManager
    """Uploading files."""
    operations: OperationsManager
    """Runs that were begun elsewhere."""

    def __init__(
        self,
        config: ContreeConfig | None = None,
        *,
        base_url: str | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(config, base_url=base_url, token=token)
        self.images = ImagesManager(self)
        self.files = FilesManager(self)
        self.operations = OperationsManager(self)

    __init__.__doc__ = ClientBase.__init__.__doc__

    async def get_token_info(self, refresh: bool = False) -> WhoAmI:
        """What the token is and may do. Asked once, or again with `refresh`.

        A token that ends within `ContreeConfig.token_expiration_warning_threshold` is warned of in the
        log; so are, from then on, timeouts beyond its limits.
        """
        return await self._get_token_info(refresh)
