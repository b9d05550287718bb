"""References to images of registries, as `docker pull` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

DOCKER_IO = "docker.io"
DOCKER_SCHEMA = "docker"
DOCKER_NAMESPACE = "library"

__all__ = ["OCIReference"]


@dataclass(frozen=True)
class OCIReference:
    """Where an image is imported from, and the tag that it gets here."""

    url: str
    """`docker://HOST/NAME[:TAG]`."""
    tag: str
    """`NAME[:TAG]` for Docker Hub, without `library/`; `HOST/NAME[:TAG]` for other registries."""

    @classmethod
    def from_oci(cls, ref: str) -> OCIReference:
        """Reads `debian:bookworm`, `someone/thing`, `ghcr.io/owner/name:1` or `docker://…`.

        A first part without a dot is not a host but part of a name on Docker Hub. A tag that is
        missing stays so: the server takes `latest`.

        Raises:
            ValueError: empty, beginning with `:`, or with another scheme than `docker`.
        """
        reference = str(ref)
        if not reference or reference.startswith(":"):
            raise ValueError(f"{reference!r} is not a valid OCI reference")
        scheme, separator, rest = reference.partition("://")
        if not separator:
            scheme, rest = DOCKER_SCHEMA, reference
        if scheme.lower() != DOCKER_SCHEMA:
            raise ValueError(f"Invalid scheme: {reference}")
        # Whatever a URL may have behind its path has no meaning here.
        parts = urlsplit(f"//{rest}")
        host, path = parts.netloc, parts.path.lstrip("/")
        if "." not in host or not path:
            path = "/".join(part for part in (host, path) if part)
            host = ""
        if host in ("", DOCKER_IO):
            host = DOCKER_IO
            path = path if "/" in path else f"{DOCKER_NAMESPACE}/{path}"
            tag = path.removeprefix(f"{DOCKER_NAMESPACE}/")
        else:
            tag = f"{host}/{path}"
        return cls(url=f"{DOCKER_SCHEMA}://{host}/{path}", tag=tag)
