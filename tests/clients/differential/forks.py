"""contree-cli, loaded once and forked for each command line.

Loading takes half a second of Python, the command itself a few hundredths; a suite of hundreds of lines
would be nothing but loading. So this program, started with the environment of the lines, loads
contree-cli as its own entry point does, and then for each line that comes over the socket forks a
process which is given the arguments, standard streams and all the rest of its life to contree-cli's
`main`.
"""

import json
import os
import signal
import socket
import sys


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


if __name__ == "__main__":
    door = socket.socket(fileno=int(sys.argv[1]))
    # The name that argparse prints is taken while loading.
    sys.argv = ["contree"]
    from contree_cli.__main__ import main

    lines(door)
    sys.exit(main())
