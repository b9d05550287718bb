"""Kinds of images."""

from enum import IntEnum


class ImageKind(IntEnum):
    """Where an image comes from."""

    INSTANCES = 0
    """Made by a run. As a filter of lists it leaves nothing out."""
    IMPORTED = 1
    """Imported from a registry or an archive."""
