"""Finding and importing images."""

from contree_sdk.sdk.managers.images._async import ImagesManager
from contree_sdk.sdk.managers.images._sync import ImagesManagerSync

__all__ = ["ImagesManager", "ImagesManagerSync"]
