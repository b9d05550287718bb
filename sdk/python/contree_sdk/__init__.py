"""The Python SDK of ConTree."""
