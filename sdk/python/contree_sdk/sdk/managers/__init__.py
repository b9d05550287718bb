"""What a client offers: `client.images`, `client.files`, `client.operations`."""
