"""Sandboxes that branch like git: run commands in images, and go on from what they leave.

`Contree` is for event loops, `ContreeSync` blocks; both have the same methods.
"""

from contree_sdk._version import __version__
from contree_sdk.sdk.client import Contree, ContreeSync

__all__ = ["Contree", "ContreeSync", "__version__"]
