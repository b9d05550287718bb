"""Values that go into calls and come out of them."""
