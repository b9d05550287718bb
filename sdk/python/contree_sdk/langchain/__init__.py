"""ConTree for LangChain's deepagents: [`ContreeSandbox`]. Needs the package `deepagents`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contree_sdk.langchain.sandbox import ContreeSandbox

__all__ = ["ContreeSandbox"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for, as it needs what not everyone has installed."""
    if name == "ContreeSandbox":
        from contree_sdk.langchain.sandbox import ContreeSandbox

        return ContreeSandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
