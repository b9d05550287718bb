//! Bringing an image in from a registry or an archive, as one flat layer.
