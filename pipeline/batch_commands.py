"""``python -m pipeline batch``: many clips, here or on a Ray cluster, that go on after a kill."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from pipeline import settings
from pipeline.batch.batch import DEFAULT_NAME, Batch, Status, open_batch, run_batch
from pipeline.batch.items import DONE, FAILED, RUNNING
from pipeline.batch.tasks import INFER, available_tasks
from pipeline.inference import InferenceOptions
from pipeline.options import add_options, from_options


def add_batch_commands(commands: Any, add: Any) -> None:
    """Put ``batch`` under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    from pipeline.batch.cluster import ClusterOptions

    command = add(commands, "batch", "analyse many clips, one run each, and a table over all", _batch, _show)
    command.description += " Exits with 1 when clips failed and none is done; their reasons stand in the table."
    command.set_defaults(failed=lambda result: result["failed"] and not result["done"])
    command.add_argument(
        "inputs", nargs="+", metavar="FOLDER_OR_GLOB", help="folders, globs, files; s3:// and gs://, too"
    )
    command.add_argument("--tasks", default=INFER, metavar="A,B", help=f"of: {', '.join(available_tasks())}")
    command.add_argument("--name", default=DEFAULT_NAME, help="tells batches in one store apart (default batch)")
    command.add_argument("--resume", action="store_true", help="go on with the batch; what is done stays")
    command.add_argument(
        "--ray", default="", metavar="ADDRESS", help="on a Ray cluster: auto, an address, or local to start one here"
    )
    add_options(command, ClusterOptions)
    add_options(command, InferenceOptions)


def report(batch: Batch, seconds: float) -> dict[str, Any]:
    """What ``batch --json`` says."""
    return {
        "batch": batch.name,
        "folder": batch.place.url,
        "clips": len(batch.status),
        **batch.counts(),
        "seconds": round(seconds, 3),
        "summary": [f"{batch.place.url}/summary.csv", f"{batch.place.url}/summary.parquet"],
        "files": [
            {
                "file": status.item.name,
                "state": status.state,
                "run": status.record.run if status.record else "",
                "error": status.errors,
                "done_before": status.earlier,
            }
            for status in batch.status.values()
        ],
    }


def _batch(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.batch.cluster import ClusterOptions, ray_runner

    started = time.monotonic()
    batch = open_batch(
        arguments.inputs,
        [name.strip() for name in arguments.tasks.split(",") if name.strip()],
        str(arguments.out or settings.outputs_dir()),
        from_options(arguments, InferenceOptions),
        name=arguments.name,
        resume=arguments.resume,
    )
    runner = ray_runner(arguments.ray, from_options(arguments, ClusterOptions)) if arguments.ray else None
    line = _Line(batch, quiet=arguments.json)
    try:
        run_batch(batch, runner, line)
    finally:
        line.close()
    return report(batch, time.monotonic() - started)


class _Line:
    """A bar over the clips, and one line for each that has trouble, on standard error."""

    def __init__(self, batch: Batch, quiet: bool) -> None:
        from tqdm import tqdm

        earlier = sum(status.earlier for status in batch.status.values())
        self._bar = tqdm(desc="Clips", unit="clip", total=len(batch.status), initial=earlier, disable=quiet)

    def __call__(self, status: Status) -> None:
        if status.state == RUNNING:
            done = status.progress.frames if status.progress else 0
            self._bar.set_postfix_str(f"{status.item.name[-40:]} {done} frames")
        elif status.state in (DONE, FAILED):
            self._bar.update()
        if status.errors and status.state != RUNNING:
            self._bar.write(f"{status.item.name}: {status.errors}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _show(result: dict[str, Any]) -> None:
    print(
        f"{result['clips']} clips: {result['done']} done ({result['done_before']} of them before), "
        f"{result['failed']} failed, {result['waiting']} waiting; {result['seconds']:.1f} s"
    )
    for entry in result["files"]:
        if entry["state"] == FAILED:
            print(f"  failed: {entry['file']}: {entry['error']}")
    print(f"  table: {result['summary'][0]}")
