"""What the engines cost and give on this machine, and what each of their options is worth.

    python benchmarks/engines.py efficientnet.onnx u2netp.onnx@320 --cores 1
    python benchmarks/engines.py efficientnet.onnx --cores 0,1 --threads 2

Every way to run a model gets a process of its own; all wait while one is measured, and they take turns
in short rounds, so that what else the machine does falls on all of them alike: compare the numbers of
one table with each other, not with another day's. ``PATH@SIDE`` gives the side of the input where the
graph leaves it open. Memory is in MB (10^6 bytes).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from heliograph.adapters import engines
from heliograph.core.models import Channels, InputSpec, Meaning, ModelSpec, OutputSpec, Task, VariantSpec
from heliograph.core.ports import Engine, EngineOptions, ModelFile

SIZES = (1, 2, 4)
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of this script measures."""

    options: EngineOptions
    cores: tuple[int, ...]
    rounds: int
    seconds: float
    clock: str
    mixed: int


def as_served(name: str) -> Callable[[ModelFile, EngineOptions], Engine]:
    """An engine as the service runs it."""

    def load(model: ModelFile, options: EngineOptions) -> Engine:
        return engines.loader(name)(model, options)

    return load


def onnxruntime_with(
    *, arena: bool = True, pattern: bool = False, spinning: bool = False
) -> Callable[[ModelFile, EngineOptions], Engine]:
    """ONNX Runtime with other options than the service's."""

    def load(model: ModelFile, options: EngineOptions) -> Engine:
        engine = import_module("heliograph.adapters.engines.onnxruntime")
        chosen = engine.session_options(options)
        chosen.enable_cpu_mem_arena = arena
        chosen.enable_mem_pattern = pattern
        if spinning:
            import_module("onnxruntime").set_default_logger_severity(3)  # or it tells of the second entry
            chosen.add_session_config_entry("session.intra_op.allow_spinning", "1")
        loaded: Engine = engine.load_with(model, chosen)
        return loaded

    return load


WAYS = {
    "onnxruntime": as_served("onnxruntime"),
    "onnxruntime, no arena": onnxruntime_with(arena=False),
    "onnxruntime, pattern": onnxruntime_with(pattern=True),
    "onnxruntime, spinning": onnxruntime_with(spinning=True),
    "openvino": as_served("openvino"),
}


def megabytes() -> float:
    """The memory of this process that is resident."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Measured:
    """A loaded engine under as many callers as it has streams."""

    def __init__(self, way: str, model: ModelFile, options: EngineOptions) -> None:
        began = time.perf_counter()
        self._engine = WAYS[way](model, options)
        self.load_seconds = time.perf_counter() - began
        self._streams = options.streams
        self._pool = ThreadPoolExecutor(options.streams)
        source = np.random.default_rng(7)
        self._batches = {
            size: source.standard_normal((size, *model.spec.input.shape), np.float32) for size in SIZES
        }

    def pictures_per_second(self, size: int, seconds: float, clock: str) -> float:
        """How many pictures were answered in one second of this clock, in batches of ``size``."""

        def caller(_: int) -> int:
            runs, until = 0, time.perf_counter() + seconds
            while runs == 0 or time.perf_counter() < until:
                self._engine.run(self._batches[size])
                runs += 1
            return runs * size

        now = CLOCKS[clock]
        began = now()
        pictures = sum(self._pool.map(caller, range(self._streams)))
        return pictures / (now() - began)

    def run_mixed(self, count: int) -> None:
        """Runs so many batches of sizes in random order."""
        sizes = random.Random(7).choices(SIZES, k=count)
        list(self._pool.map(lambda size: self._engine.run(self._batches[size]), sizes))


def serve(pipe: Connection, way: str, model: ModelFile, plan: Plan) -> None:
    """Answers orders: (size, seconds, clock) with pictures a second, a count with MB after mixed runs."""
    os.sched_setaffinity(0, plan.cores)
    before = megabytes()
    measured = Measured(way, model, plan.options)
    pipe.send((measured.load_seconds, before, megabytes()))
    while (order := pipe.recv()) is not None:
        if isinstance(order, tuple):
            pipe.send(measured.pictures_per_second(*order))
        else:
            measured.run_mixed(order)
            pipe.send((megabytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3))


@contextmanager
def process(way: str, model: ModelFile, plan: Plan) -> Iterator[Connection]:
    """The pipe to a process that runs the model in this way."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    child = spawn.Process(target=serve, args=(there, way, model, plan), daemon=True)
    child.start()
    there.close()
    yield here
    here.send(None)
    child.join()


def measure(model: ModelFile, ways: list[str], plan: Plan) -> None:
    """Measures one model in all these ways and prints the table."""
    with ExitStack() as stack:
        pipes: dict[str, Connection] = {}
        rows: dict[str, Row] = {}
        for way in ways:
            pipes[way] = stack.enter_context(process(way, model, plan))
            rows[way] = Row(*pipes[way].recv())
        for _ in range(plan.rounds):
            for size in SIZES:
                for way, pipe in pipes.items():
                    pipe.send((size, plan.seconds, plan.clock))
                    rows[way].speeds[size].append(pipe.recv())
        for way, pipe in pipes.items():
            for _ in range(2):
                pipe.send(plan.mixed)
                rows[way].mixed.append(pipe.recv())
    print(f"\n{model.path.name} {model.spec.input.shape}, cores {plan.cores}, {plan.options}")
    print(f"pictures a second of {plan.clock} time: median (best); MB resident after {plan.mixed} mixed runs")
    sizes = "".join(f"{f'batch {size}':>16}" for size in SIZES)
    print(f"{'':28}{sizes}{'load s':>8}{'before':>8}{'loaded':>8}{'mixed':>8}{'again':>8}{'peak':>8}")
    for way, row in rows.items():
        print(f"{way:28}{row}")


@dataclass(slots=True)
class Row:
    """What was measured of one way; memory in MB."""

    load_seconds: float
    before: float
    loaded: float
    speeds: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    mixed: list[tuple[float, float]] = field(default_factory=list)

    def __str__(self) -> str:
        speeds = (f"{statistics.median(found):.1f} ({max(found):.1f})" for found in self.speeds.values())
        (once, _), (again, peak) = self.mixed
        memory = (self.before, self.loaded, once, again, peak)
        cells = (*(f"{cell:>16}" for cell in speeds), f"{self.load_seconds:8.2f}")
        return "".join((*cells, *(f"{megabytes:8.0f}" for megabytes in memory)))


def described(argument: str) -> ModelFile:
    """A model file of which only the graph is known; its first output is taken."""
    onnxruntime = import_module("onnxruntime")
    name, _, side = argument.partition("@")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    _, depth, height, width = onnxruntime.InferenceSession(name, options).get_inputs()[0].shape
    if depth not in {1, 3}:
        raise SystemExit(f"{name}: only (n, channels, height, width) graphs are measured")
    values = (0.0,) * depth
    size = InputSpec(
        width=int(side or width),
        height=int(side or height),
        channels=Channels.RGB if depth == 3 else Channels.LUMINANCE,
        mean=values,
        std=values,
    )
    spec = ModelSpec(
        name="measured",
        version="1",
        task=Task.CLASSIFICATION,
        title="",
        description="",
        licence="",
        homepage="",
        input=size,
        output=OutputSpec(meaning=Meaning.LOGITS),
        variants=(),
    )
    variant = VariantSpec(precision="fp32", file=name, sha256="", size_bytes=0)
    return ModelFile(spec=spec, variant=variant, path=Path(name))


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="PATH[@SIDE]")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--cores", default="0", help="processors of the measured process, as in 0,1")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="threads per stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="of one round")
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu", help="cpu ignores other processes")
    parser.add_argument("--mixed", type=int, default=200, help="runs of mixed batch sizes, done twice")
    asked = parser.parse_args()
    plan = Plan(
        options=EngineOptions(streams=asked.streams, threads_per_stream=asked.threads, max_batch=max(SIZES)),
        cores=tuple(int(core) for core in asked.cores.split(",")),
        rounds=asked.rounds,
        seconds=asked.seconds,
        clock=asked.clock,
        mixed=asked.mixed,
    )
    for argument in asked.models:
        measure(described(argument), asked.ways, plan)


if __name__ == "__main__":
    main()
