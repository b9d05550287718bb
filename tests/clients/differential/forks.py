"""contree-cli, loaded once for each script and forked for each command line.

Loading takes half a second of Python, the command itself a few hundredths, and taking the loaded modules
apart at the end a tenth; a suite of hundreds of lines would be nothing but that. So there are three
generations of one process. The first loads the libraries below contree-cli. For each walk, which it is told
of over a socket, it forks a second one, which takes the walk's environment, folder and socket, and loads
contree-cli as its own entry point does. For each line that comes over that socket this one forks a third,
which is given the arguments, standard streams and all the rest of its life to contree-cli's `main`. With
the arguments comes whether standard input is idle.
"""

import gc
import json
import os
import signal
import socket
import sys
import traceback


def forked(door, count, waits):
    """Forks for each message on a socket. Only the forked processes come back from here, with the message
    and its file descriptors."""
    while True:
        message, fds, _, _ = socket.recv_fds(door, 1 << 20, count)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            door.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return json.loads(message), fds
        for fd in fds:
            os.close(fd)
        if waits:
            _, status = os.waitpid(pid, 0)
            door.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def ended(main):
    """The exit code of a program that ends as Python does."""
    try:
        code = main()
    except SystemExit as asked:
        code = asked.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    sys.stderr.flush()
    return (code or 0) & 0xFF


if __name__ == "__main__":
    # What contree-cli is made of, none of which looks at the environment while it is loaded.
    import argparse, configparser, gzip, http.client, importlib.metadata, logging, multiprocessing.pool  # noqa: E401, F401
    import sqlite3, ssl, subprocess, tarfile, tempfile, tomllib, urllib.request, uuid  # noqa: E401, F401
    import contree_client.models, contree_client.profiles, contree_client.sync  # noqa: E401, F401

    # Walks are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    (variables, folder), fds = forked(socket.socket(fileno=int(sys.argv[1])), 1, waits=False)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    # The name that argparse prints is taken while loading.
    sys.argv = ["contree"]
    from contree_cli.__main__ import main
    from contree_cli.cli import run

    gc.freeze()
    (words, is_idle), fds = forked(socket.socket(fileno=fds[0]), 3, waits=True)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = words
    if not is_idle:
        # How long it waits for input, or its end, before it runs the command as one that is spoken to. There
        # is one or the other, but on a slow machine not always within the 50 ms that it waits else.
        run.STDIN_FIRST_CHUNK_TIMEOUT = 10
    os._exit(ended(main))
