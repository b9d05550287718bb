"""The blocking client."""

from __future__ import annotations

from contree_sdk import _blocking
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.client._base import ClientBase
from contree_sdk.sdk.managers.files._sync import FilesManagerSync
from contree_sdk.sdk.managers.images._sync import ImagesManagerSync
from contree_sdk.sdk.managers.operations._sync import OperationsManagerSync
from contree_sdk.utils.models.auth import WhoAmI


class ContreeSync(ClientBase):
    """A client whose calls block. It may be used by several threads; there is nothing to close."""

    images: ImagesManagerSync
    """Finding and importing images."""
    files: FilesManagerSync
    """Uploading files."""
    operations: OperationsManagerSync
    """Runs that were begun elsewhere."""

    def __init__(
        self,
        config: ContreeConfig | None = None,
        *,
        base_url: str | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(config, base_url=base_url, token=token)
        self.images = ImagesManagerSync(self)
        self.files = FilesManagerSync(self)
        self.operations = OperationsManagerSync(self)

    __init__.__doc__ = ClientBase.__init__.__doc__

    def get_token_info(self, refresh: bool = False) -> WhoAmI:
        """What the token is and may do. Asked once, or again with `refresh`.

        A token that ends within `ContreeConfig.token_expiration_warning_threshold` is warned of in the
        log; so are, from then on, timeouts beyond its limits.
        """
        return _blocking.run(self._get_token_info(refresh))
