"""contree-cli, loaded once and forked for each command line.

Loading takes half a second of Python, the command itself a few hundredths, and taking the loaded modules
apart at the end a tenth; a suite of hundreds of lines would be nothing but that. So this program, started
with the environment of the lines, loads contree-cli as its own entry point does, and then for each line
that comes over the socket forks a process which is given the arguments, standard streams and all the rest
of its life to contree-cli's `main`.
"""

import gc
import json
import os
import signal
import socket
import sys
import traceback


def lines(door):
    """Forks for each line; only the forked processes come back from here."""
    while True:
        message, fds, _, _ = socket.recv_fds(door, 1 << 20, 3)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            door.close()
            for number, fd in enumerate(fds):
                os.dup2(fd, number)
                os.close(fd)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.argv[1:] = json.loads(message)
            return
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        door.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


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
    door = socket.socket(fileno=int(sys.argv[1]))
    # The name that argparse prints is taken while loading.
    sys.argv = ["contree"]
    from contree_cli.__main__ import main

    gc.freeze()
    lines(door)
    os._exit(ended(main))
