"""Marking what is not to be used any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import deprecated as deprecated
else:
    import warnings
    from functools import wraps
    from inspect import iscoroutinefunction

    def deprecated(message):
        """What `warnings.deprecated` of Python 3.13 does, for functions: calling warns, awaiting the
        call of a coroutine function. The warning begins with the function's name."""

        def mark(function):
            def warn():
                told = f"{function.__qualname__} is deprecated. {message}"
                warnings.warn(told, DeprecationWarning, stacklevel=3)

            if iscoroutinefunction(function):

                @wraps(function)
                async def warning(*args, **kwargs):
                    warn()
                    return await function(*args, **kwargs)

            else:

                @wraps(function)
                def warning(*args, **kwargs):
                    warn()
                    return function(*args, **kwargs)

            warning.__deprecated__ = message
            return warning

        return mark
