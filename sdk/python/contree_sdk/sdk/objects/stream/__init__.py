"""Output and events of runs while they go on."""

from contree_sdk.sdk.objects.stream._async import ContreeEvents, ContreeStream
from contree_sdk.sdk.objects.stream._base import ContreeChunk, ContreeEvent
from contree_sdk.sdk.objects.stream._sync import ContreeEventsSync, ContreeStreamSync

__all__ = [
    "ContreeChunk",
    "ContreeEvent",
    "ContreeEvents",
    "ContreeEventsSync",
    "ContreeStream",
    "ContreeStreamSync",
]
