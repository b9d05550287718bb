"""Uploading files."""

from contree_sdk.sdk.managers.files._async import FilesManager
from contree_sdk.sdk.managers.files._sync import FilesManagerSync

__all__ = ["FilesManager", "FilesManagerSync"]
