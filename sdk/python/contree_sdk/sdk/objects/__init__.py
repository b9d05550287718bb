"""Images, sessions, runs, files and processes."""
