"""Runs `true` through contree_sdk, and prints as JSON when each run began and had its result.

Started by `cargo xtask bench sdk`, in an environment with the package to measure: the published
contree_sdk or this project's. It uses only what both have. The server is named by CONTREE_BENCH_URL
and CONTREE_BENCH_TOKEN.

Moments are nanoseconds since the Unix epoch, of the clock that the server stamps its events with.
Each run carries a name of its own as hostname, by which its operation is found afterwards.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass
class Failure:
    """Why a run failed: the error's type with what tells it apart, and its words."""

    kind: str
    words: str


@dataclass
class Run:
    """One call of `run()` and what came of it."""

    name: str
    began: int
    ended: int
    failure: Failure | None


def failure(error: Exception) -> Failure:
    kind = type(error).__name__
    # Of an ApiTimeoutError: connect, read, write or pool.
    if timeout := getattr(error, "timeout_type", None):
        kind += f" ({timeout})"
    return Failure(kind, " ".join(str(error).split())[:300])


def held(exit_code: int) -> Failure | None:
    """`true` succeeds; anything else is no measure of it."""
    return Failure("exit code", str(exit_code)) if exit_code != 0 else None


async def run_async(image: Any, name: str) -> Run:
    began = time.time_ns()
    try:
        done = await image.run("true", hostname=name)
        outcome = held(done.exit_code)
    except Exception as error:
        outcome = failure(error)
    return Run(name, began, time.time_ns(), outcome)


def run_sync(image: Any, name: str) -> Run:
    began = time.time_ns()
    try:
        done = image.run("true", hostname=name).wait()
        outcome = held(done.exit_code)
    except Exception as error:
        outcome = failure(error)
    return Run(name, began, time.time_ns(), outcome)


def memory(field: str) -> int:
    """Bytes, from a line of this process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {field}")


class Measure:
    """What the part between `start` and `end` cost this process."""

    def start(self) -> None:
        gc.collect()
        # Forgets the peak so far: what counts is what the runs add.
        Path("/proc/self/clear_refs").write_text("5")
        self.memory = memory("VmRSS")
        self.cpu = time.process_time_ns()
        self.wall = time.perf_counter_ns()

    def end(self, runs: list[Run]) -> dict[str, Any]:
        wall = time.perf_counter_ns() - self.wall
        cpu = time.process_time_ns() - self.cpu
        return {
            "wall_nanos": wall,
            "cpu_nanos": cpu,
            "memory_before": self.memory,
            "memory_peak": memory("VmHWM"),
            "runs": [asdict(run) for run in runs],
        }


async def measure_async(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    image = await client.images.use(args.image, strict=True)
    for number in range(args.warm_up):
        must_succeed(await run_async(image, f"{args.name}-w{number}"))

    async def caller(names: Iterator[str], runs: list[Run]) -> None:
        for name in names:
            runs.append(await run_async(image, name))

    names, runs = iter(every_name(args)), list[Run]()
    measure = Measure()
    measure.start()
    await asyncio.gather(*(caller(names, runs) for _ in range(args.at_once)))
    return measure.end(runs)


def measure_sync(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    image = client.images.use(args.image, strict=True)
    for number in range(args.warm_up):
        must_succeed(run_sync(image, f"{args.name}-w{number}"))
    names = every_name(args)
    measure = Measure()
    measure.start()
    if args.at_once == 1:
        return measure.end([run_sync(image, name) for name in names])
    # What a program without an event loop does: a thread for each.
    threading.stack_size(256 * 1024)
    with ThreadPoolExecutor(max_workers=args.at_once) as pool:
        runs = list(pool.map(lambda name: run_sync(image, name), names))
    return measure.end(runs)


def every_name(args: argparse.Namespace) -> list[str]:
    return [f"{args.name}-{number}" for number in range(args.runs)]


def must_succeed(run: Run) -> None:
    if run.failure is not None:
        sys.exit(f"a run of the warm-up failed: {run.failure.kind}: {run.failure.words}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sync", action="store_true", help="through ContreeSync, without asyncio")
    parser.add_argument("--at-once", type=int, default=1, help="callers, each one run at a time")
    parser.add_argument("--runs", type=int, required=True, help="of all callers together")
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--image", required=True, help="the image's UUID")
    parser.add_argument("--name", required=True, help="what the runs' hostnames start with")
    args = parser.parse_args()

    before = time.perf_counter_ns()
    from contree_sdk import Contree, ContreeSync

    imported = time.perf_counter_ns() - before
    where = {
        "base_url": os.environ["CONTREE_BENCH_URL"],
        "token": os.environ["CONTREE_BENCH_TOKEN"],
    }
    measured: dict[str, Any]
    if args.sync:
        measured = measure_sync(ContreeSync(**where), args)
    else:
        measured = asyncio.run(measure_async(Contree(**where), args))
    measured["package"] = version("contree-sdk")
    measured["python"] = platform.python_version()
    measured["import_nanos"] = imported
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    main()
