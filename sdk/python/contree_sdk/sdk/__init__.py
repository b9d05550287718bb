"""The client, its objects and its errors."""
