"""States of images and sessions."""

from contree_sdk._text_enum import TextEnum


class ImageState(TextEnum):
    """What an image or a session is at."""

    PULLED = "PULLED"
    """As it came from the server."""
    PREPARING = "PREPARING"
    """Not used."""
    PREPARED = "PREPARED"
    """`run` has been called: to be awaited, waited for or started."""
    EXECUTING = "EXECUTING"
    """The run is under way."""

    SUCCEEDED = "SUCCEEDED"
    """The run has ended, whatever its exit code: there is a result."""
    FAILED = "FAILED"
    """The run could not be done, timed out in the queue or was cancelled. The image is the one
    before the run; a session may be run again."""


TRANSITIONS: dict[ImageState, tuple[ImageState, ...]] = {
    ImageState.PULLED: (ImageState.PREPARING, ImageState.PREPARED),
    ImageState.PREPARING: (ImageState.PREPARING, ImageState.PREPARED),
    ImageState.PREPARED: (ImageState.EXECUTING,),
    ImageState.EXECUTING: (ImageState.SUCCEEDED, ImageState.FAILED),
    ImageState.SUCCEEDED: (ImageState.PREPARING, ImageState.PREPARED),
    ImageState.FAILED: (ImageState.PREPARING, ImageState.PREPARED),
}
"""To which states each may change."""
