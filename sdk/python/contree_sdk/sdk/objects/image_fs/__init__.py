"""Files and folders in images."""

from contree_sdk.sdk.objects.image_fs._async import ImageDirectory, ImageFile
from contree_sdk.sdk.objects.image_fs._sync import ImageDirectorySync, ImageFileSync

__all__ = ["ImageDirectory", "ImageDirectorySync", "ImageFile", "ImageFileSync"]
