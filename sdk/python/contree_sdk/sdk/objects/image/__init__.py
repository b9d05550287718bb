"""Images."""

from contree_sdk.sdk.objects.image._async import ContreeImage
from contree_sdk.sdk.objects.image._sync import ContreeImageSync

__all__ = ["ContreeImage", "ContreeImageSync"]
