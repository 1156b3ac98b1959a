"""The same batch on a Ray cluster: one warm worker a place, lost workers replaced, their clips done again by others.

The driver hands one clip at a time to each worker and writes the record when it comes back. A worker that is lost loses
its one clip, which goes to another; what it had published is found and kept (``worker.py``), so nothing is there twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.batch.batch import Batch, Runner, Status
from pipeline.batch.items import FAILED, RUNNING, WAITING, BatchError, Item, Plan, Record
from pipeline.batch.places import Place
from pipeline.batch.worker import CreateEstimator
from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions
from pipeline.settings import PROJECT_DIR

_log = logging.getLogger(__name__)
_ASK_EVERY_S = 0.5
_COUNT_EVERY_S = 5.0
_GIB = 2**30
_NO_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # at 0, ray binds to 127.0.0.1; else it binds to all addresses


@dataclass(frozen=True)
class ClusterOptions:
    """How a batch uses a Ray cluster.

    workers: at most as many; 0 takes as many as fit, and more when nodes join.
    worker_cpus: processor cores a worker may count on; the networks scale to about two.
    worker_memory_gib: memory a worker may count on; one that has grown beyond it is replaced between clips.
    retries: how often a clip is given to another worker after its worker was lost.
    """

    workers: int = 0
    worker_cpus: float = 1.0
    worker_memory_gib: float = 2.0
    retries: int = 3

    def __post_init__(self) -> None:
        if self.workers < 0 or self.retries < 0 or not self.worker_cpus > 0 or not self.worker_memory_gib > 0:
            raise BatchError("workers and retries must be 0 or more, worker_cpus and worker_memory_gib above 0.")


@dataclass
class _Worker:
    """One worker: coming (``call`` is its start), idle (no call), or with a clip in hand."""

    actor: Any
    call: Any
    status: Status | None = None


@dataclass
class _Pool:
    """The workers; as many as there is work and room for."""

    options: ClusterOptions
    out: str
    workers: list[_Worker] = field(default_factory=list)
    counted_s: float = -_COUNT_EVERY_S
    room: int = 0
    stillborn: int = 0

    def fit(self, wanted: int) -> None:
        """Have as many workers as are wanted and fit. Raises BatchError when not even one fits."""
        if time.monotonic() - self.counted_s >= _COUNT_EVERY_S:
            self.counted_s, self.room = time.monotonic(), room_for(self.options)
        if not self.room and not self.workers:
            raise BatchError(
                f"No node of the Ray cluster has {self.options.worker_cpus:g} cores and "
                f"{self.options.worker_memory_gib:g} GiB for a worker; ask for less, or add a node, and resume."
            )
        most = min(self.room, self.options.workers or self.room, wanted)
        for worker in [w for w in self.workers if w.call is not None and w.status is None]:
            if len(self.workers) > most:  # its node was lost before it came
                self.drop(worker)
        while len(self.workers) < most:
            actor = _new_actor(self.options, self.out)
            self.workers.append(_Worker(actor, actor.ready.remote()))

    def give(self, worker: _Worker, status: Status, plan: Plan) -> None:
        """Hand a clip to an idle worker."""
        worker.call, worker.status = worker.actor.process.remote(status.item, plan, status.record), status

    def drop(self, worker: _Worker) -> None:
        """End a worker."""
        import ray

        self.workers.remove(worker)
        self.counted_s = -_COUNT_EVERY_S
        with contextlib.suppress(Exception):  # it may be dead already
            ray.kill(worker.actor)

    def came(self, worker: _Worker, error: Exception | None) -> None:
        """A worker is there, or could not start. Raises BatchError when that happens again and again."""
        worker.call = None
        if error is None:
            self.stillborn = 0
            return
        self.drop(worker)
        self.stillborn += 1
        if self.stillborn > self.options.retries:
            raise BatchError(f"The workers cannot start ({_short(error)}); mend that and resume.")


def ray_runner(address: str, options: ClusterOptions | None = None) -> Runner:
    """A runner for ``run_batch``.

    Args:
        address: "auto" for the cluster that runs here, "local" to start one on this machine, or ray's own address.
    """
    chosen = options or ClusterOptions()

    def run(
        batch: Batch, pending: Sequence[Status], report: Callable[[Status], None], cancelled: Callable[[], bool]
    ) -> Iterator[Record]:
        _reachable_by_all(batch)
        if not pending:
            return
        with connected(address):
            yield from _run(batch, pending, report, cancelled, chosen)

    return run


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """A connection to the cluster, kept when there is one already. Raises BatchError when there is no cluster.

    A cluster that is started here ("local") listens on 127.0.0.1 only and has no dashboard.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # ray would call home
    if address == "local":
        os.environ.setdefault(_NO_CLUSTER, "0")
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        _knock(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
        if address == "local":
            ray.init("local", include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise BatchError(
            f"There is no Ray cluster at {address!r} ({' '.join(str(error).split())[:160]}); start one with "
            "`ray start --head`, or use --ray local."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError when nobody answers at "host:port"; ray would ask for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()


def room_for(options: ClusterOptions) -> int:
    """How many workers fit on the cluster's living nodes."""
    import ray

    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            memory = options.worker_memory_gib * _GIB
            room += int(min(has.get("CPU", 0) // options.worker_cpus, has.get("memory", 0) // memory))
    return room


def _run(
    batch: Batch,
    pending: Sequence[Status],
    report: Callable[[Status], None],
    cancelled: Callable[[], bool],
    options: ClusterOptions,
) -> Iterator[Record]:
    import ray

    waiting, lost = deque(pending), Counter[str]()
    pool = _Pool(options, batch.out)
    try:
        while (waiting or any(worker.status for worker in pool.workers)) and not cancelled():
            pool.fit(len(waiting) + sum(worker.status is not None for worker in pool.workers))
            for worker in pool.workers:  # only who is there gets a clip: who is coming may never find a place
                if worker.call is None and waiting:
                    status = waiting.popleft()
                    pool.give(worker, status, batch.plan)
                    status.state = RUNNING
                    report(status)
            calls = {worker.call: worker for worker in pool.workers if worker.call is not None}
            for call in ray.wait(list(calls), timeout=_ASK_EVERY_S)[0] if calls else ():
                worker = calls[call]
                answer, error = _answer(call)
                done, worker.status = worker.status, None
                if done is None:
                    pool.came(worker, error)
                elif error is None:
                    record, memory_bytes = answer
                    worker.call = None
                    if memory_bytes > options.worker_memory_gib * _GIB:
                        pool.drop(worker)
                    yield record
                else:
                    _log.warning("a worker was lost (%s)", type(error).__name__)
                    pool.drop(worker)
                    lost[done.item.key] += 1
                    if lost[done.item.key] > options.retries:
                        yield _given_up(done.item, lost[done.item.key], error)
                    else:
                        done.state = WAITING
                        waiting.appendleft(done)
    finally:
        for worker in list(pool.workers):
            pool.drop(worker)


def _answer(call: Any) -> tuple[Any, Exception | None]:
    import ray

    try:
        return ray.get(call), None
    except ray.exceptions.RayError as error:
        return None, error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _given_up(item: Item, times: int, error: Exception) -> Record:
    return Record(
        item.key, item.url, item.name, FAILED,
        error=f"Its worker was lost {times} times (at last: {_short(error)}); give workers more memory and resume.",
    )  # fmt: skip


def _reachable_by_all(batch: Batch) -> None:
    """Raises BatchError when a place exists only in this process."""
    for url in (batch.out, *(status.item.url for status in batch.status.values())):
        if Place(url).files.protocol == "memory":
            raise BatchError(f"{url} lies in this process's memory, which workers cannot reach; use a disk or s3://.")


def _new_actor(options: ClusterOptions, out: str) -> Any:
    import ray

    class Actor:
        """Lives in a process of its own, keeps its models warm."""

        def __init__(self, root: str, environment: dict[str, str], out: str, cores: int) -> None:
            os.environ.update(environment)
            sys.path.insert(0, root)
            from pipeline.batch.cluster import with_cores
            from pipeline.batch.worker import Worker
            from pipeline.inference import create_estimator

            self._worker = Worker(out, with_cores(create_estimator, cores))

        def ready(self) -> bool:
            """The worker is there."""
            return True

        def process(self, item: Item, plan: Plan, known: Record | None) -> tuple[Record, int]:
            """The clip's record, and the memory that this worker holds now."""
            import psutil

            record = self._worker.process(item, plan, known)
            return record, int(psutil.Process().memory_info().rss)

    environment = {name: value for name, value in os.environ.items() if name.startswith("KINOSCOPE_")}
    remote = ray.remote(
        num_cpus=options.worker_cpus, memory=int(options.worker_memory_gib * _GIB), max_restarts=0, max_task_retries=0
    )(Actor)
    return remote.remote(str(PROJECT_DIR), environment, out, max(1, int(options.worker_cpus)))


def with_cores(create: CreateEstimator, cores: int) -> CreateEstimator:
    """Estimators whose networks use so many threads: they take as many as there are cores when they are made.

    The threads are bound to no core: that is lifted as soon as the estimator is made.
    """

    def limited(options: InferenceOptions, kind: str) -> Estimator:
        if not hasattr(os, "sched_setaffinity"):
            return create(options, kind)
        every = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(every)[:cores])
        try:
            return create(options, kind)
        finally:
            for thread in Path("/proc/self/task").iterdir():
                with contextlib.suppress(OSError):  # it has ended
                    os.sched_setaffinity(int(thread.name), every)

    return limited
