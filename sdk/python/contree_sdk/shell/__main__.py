"""Becomes `contree shell`, with the same arguments."""

import os
import shutil
import sys

if __name__ == "__main__":
    program = shutil.which("contree")
    if program is None:
        sys.exit("contree is not in PATH: install it, its `contree shell` is the interactive shell")
    os.execv(program, [program, "shell", *sys.argv[1:]])
