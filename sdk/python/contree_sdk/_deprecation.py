"""Marking what is not to be used any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import deprecated as deprecated
elif sys.version_info >= (3, 13):
    from warnings import deprecated
else:
    import warnings
    from functools import wraps

    def deprecated(message):
        """What `warnings.deprecated` of Python 3.13 does, for functions: calling warns."""

        def mark(function):
            @wraps(function)
            def warning(*args, **kwargs):
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                return function(*args, **kwargs)

            warning.__deprecated__ = message
            return warning

        return mark
