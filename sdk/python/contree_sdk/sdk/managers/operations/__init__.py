"""Runs that were begun elsewhere."""

from contree_sdk.sdk.managers.operations._async import OperationsManager
from contree_sdk.sdk.managers.operations._sync import OperationsManagerSync

__all__ = ["OperationsManager", "OperationsManagerSync"]
