"""Runs in the manner of the `subprocess` module."""

from contree_sdk.sdk.objects.subprocess._async import ContreeProcess
from contree_sdk.sdk.objects.subprocess._sync import ContreeProcessSync

__all__ = ["ContreeProcess", "ContreeProcessSync"]
