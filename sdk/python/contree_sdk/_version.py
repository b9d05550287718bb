"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("contree-sdk")
except PackageNotFoundError:
    # A checkout that was not installed.
    __version__ = "0"
