"""`python -m contree_sdk.shell`: the interactive shell of the command line."""
