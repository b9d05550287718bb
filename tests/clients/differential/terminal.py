"""A line on a pseudo-terminal, with a person who types when something is shown."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time


def in_the_foreground():
    """Only so does Ctrl-C become a signal, and one that is heard."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_terminal(command, folder, variables, typed, patience):
    """Runs a program on a terminal of its own; its exit code and all that was shown.

    `typed` are pairs: a pattern that is waited for in what is shown since the last one, and what is
    typed then.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**variables, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=in_the_foreground,
    )
    os.close(theirs)
    shown, seen = b"", 0
    waiting = list(typed)
    deadline = time.monotonic() + patience
    try:
        while True:
            while waiting and (found := re.search(waiting[0][0].encode(), shown[seen:])):
                os.write(ours, waiting.pop(0)[1].encode())
                seen += found.end()
            ready, _, _ = select.select([ours], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"stands still: {command}\n{shown.decode(errors='replace')}")
            try:
                shown += os.read(ours, 65536)
            except OSError:
                # Nobody has the other side open any more.
                break
        code = process.wait(patience)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert not waiting, f"{command} never showed {waiting[0][0]!r}:\n{shown.decode(errors='replace')}"
    return code, shown
