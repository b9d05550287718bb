"""Commands and options that are tested, but not by scripts: name, or `COMMAND *` for all of it → test."""

ELSEWHERE = {}
