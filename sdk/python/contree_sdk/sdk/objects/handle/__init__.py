"""Runs that have begun, and further processes in them."""

from contree_sdk.sdk.objects.handle._async import ContreeExec, ContreeRun
from contree_sdk.sdk.objects.handle._sync import ContreeExecSync, ContreeRunSync

__all__ = ["ContreeExec", "ContreeExecSync", "ContreeRun", "ContreeRunSync"]
