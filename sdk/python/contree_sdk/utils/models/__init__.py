"""Records: files, images, tokens, operations, streams."""
