"""What a token is and may do."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class WhoAmI:
    """A token, as the server sees it."""

    token_uuid: str
    """The token's own id; not the token."""
    token_expiration: int | None
    """When it ends, in seconds since 1970 (UTC); None: never."""
    permissions: dict[str, bool] = field(default_factory=dict)
    """`import`, `spawn`, `spawn_disposable`, `list`, `cancel`, `set_image_tag`."""
    limits: dict[str, int] = field(default_factory=dict)
    """For example `instance_max_timeout` in seconds, `instance_max_layer_bytes` in bytes."""
    operations_stat: dict[str, Any] = field(default_factory=dict)
    """How many operations the project has, by kind and status."""
