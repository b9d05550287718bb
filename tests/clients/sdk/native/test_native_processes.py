"""Processes that fork, end, or are interrupted while runs are under way."""

import signal
import subprocess

import pytest

from conftest import PATIENCE, output_of, program


def test_a_forked_child_and_its_parent_go_on():
    said = output_of("""
        used = image()
        print(echo(used, "before"), flush=True)
        for number in range(3):
            child = os.fork()
            if child == 0:
                print(echo(used, f"child {number}"), flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print(echo(used, f"parent {number}"), flush=True)
    """)
    both = [line for n in range(3) for line in (f"child {n}", f"parent {n}")]
    assert said.splitlines() == ["before", *both]


def test_a_fork_while_threads_are_at_work():
    said = output_of("""
        used = image()
        stop = threading.Event()

        def work():
            while not stop.is_set():
                assert echo(used, "x") == "x"

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                assert echo(used, "child") == "child"
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        print("whole")
    """)
    assert said == "whole\n"


def test_a_child_ends_like_any_program():
    said = output_of("""
        used = image()
        echo(used, "x")
        if child := os.fork():
            print(os.waitpid(child, 0)[1])
        else:
            echo(used, "y")
            sys.exit(0)
    """)
    assert said == "0\n"


def test_a_fork_inside_an_event_loop():
    said = output_of("""
        client = Contree(CONFIG)

        async def one(text):
            used = await client.images.use("debian:bookworm")
            return (await used.run("echo", args=["-n", text])).stdout

        async def main():
            print(await one("before"), flush=True)
            pending = [asyncio.ensure_future(one(str(n))) for n in range(10)]
            await asyncio.sleep(0)
            child = os.fork()
            if child == 0:
                # The loop is the parent's; the child makes its own.
                asyncio.events._set_running_loop(None)
                print(asyncio.run(one("child")), flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print(await asyncio.gather(*pending) == [str(n) for n in range(10)])

        asyncio.run(main())
    """)
    assert said.splitlines() == ["before", "child", "True"]


def test_a_run_begun_by_the_parent_can_be_waited_for_by_the_child():
    said = output_of("""
        handle = image().run("echo", args=["-n", "late"]).start()
        child = os.fork()
        if child == 0:
            print(handle.wait().stdout, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(handle.wait().stdout)
    """)
    assert said == "late\nlate\n"


def test_a_pool_of_forked_processes():
    said = output_of("""
        import multiprocessing

        used = image()
        echo(used, "x")

        def one(number):
            return echo(used, str(number))

        with multiprocessing.get_context("fork").Pool(3) as pool:
            print(pool.map(one, range(12)) == [str(n) for n in range(12)])
    """)
    assert said == "True\n"


ENDS = {
    "a task": """
        async def main():
            used = await Contree(CONFIG).images.use("debian:bookworm")
            task = asyncio.ensure_future(used.run("sleep", args=["600"], timeout=700))
            await asyncio.sleep(0)

        asyncio.run(main())
    """,
    "a loop that is not closed": """
        async def main():
            used = await Contree(CONFIG).images.use("debian:bookworm")
            asyncio.ensure_future(used.run("sleep", args=["600"], timeout=700))
            await used.run("true")

        asyncio.new_event_loop().run_until_complete(main())
        os.close(2)
    """,
    "a daemon thread": """
        used = image()
        threading.Thread(target=long_run(used).wait, daemon=True).start()
        echo(used, "x")
    """,
    "many daemon threads": """
        used = image()
        def work():
            while True:
                echo(used, "x")
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(5):
            echo(used, "x")
    """,
    "a daemon thread with a loop": """
        client = Contree(CONFIG)
        begun = threading.Event()

        async def work():
            used = await client.images.use("debian:bookworm")
            while True:
                await asyncio.gather(*(used.run("true") for _ in range(10)))
                begun.set()

        threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
        begun.wait()
    """,
    "a handle": """
        handle = long_run(image()).start()
        handle.cancel()
    """,
    "an exception": """
        used = image()
        threading.Thread(target=long_run(used).wait, daemon=True).start()
        echo(used, "x")
        sys.exit(0)
    """,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_while_something_waits(end, marker):
    # However long the runs take that are left.
    assert output_of(ENDS[end], marker) == ""


def test_an_interrupt_ends_a_blocked_run_and_cancels_it(marker, operation):
    with program("long_run(image()).wait()", marker) as blocked:
        id = operation("EXECUTING")
        blocked.send_signal(signal.SIGINT)
        try:
            _, err = blocked.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            blocked.kill()
            raise
    assert blocked.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert operation("CANCELLED") == id


def test_an_interrupt_that_is_caught():
    said = output_of("""
        used = image()
        def interrupt(*_):
            raise InterruptedError("enough")
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            used.run("sleep", args=["600"], timeout=700).wait()
        except InterruptedError as error:
            print(error)
        print(echo(used, "on"))
    """)
    assert said == "enough\non\n"


def test_a_handler_that_raises_nothing_lets_the_run_go_on():
    said = output_of("""
        signal.signal(signal.SIGALRM, lambda *_: print("rung", flush=True))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        print(image().run(shell="sleep 1; echo -n done").wait().stdout)
    """)
    assert said == "rung\ndone\n"
