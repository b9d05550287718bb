"""The two clients."""

from contree_sdk.sdk.client._async import Contree
from contree_sdk.sdk.client._sync import ContreeSync

__all__ = ["Contree", "ContreeSync"]
