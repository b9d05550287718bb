"""Sessions."""

from contree_sdk.sdk.objects.session._async import ContreeSession
from contree_sdk.sdk.objects.session._sync import ContreeSessionSync

__all__ = ["ContreeSession", "ContreeSessionSync"]
