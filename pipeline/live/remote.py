"""Objects that live in a process of their own.

Poses and analyses need Python's lock hundreds of times a frame. In one process with the network's event loop, every
other session and each other they would wait for it far longer than they compute. A child process costs 0.2 GB and a
second at the start; it ends when its parent does, however that ends.
"""

from __future__ import annotations

import mmap
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Self

import numpy as np

from pipeline.estimation.base import Estimator, Image, PersonPose
from pipeline.poses import ModelInfo
from pipeline.settings import PROJECT_DIR
from pipeline.skeletons import SKELETONS, Skeleton

MAKE = "make"
SHARED_BYTES = 1920 * 1080 * 3  # a larger picture goes through the pipe
THREADS = 1  # BlazePose needs 18 ms of one core a frame; the other cores decode, draw and encode


class RemoteError(ValueError):
    """The process has ended or failed; the message says what it said."""


class Child:
    """An object in another process, whose methods are called one at a time.

    Args:
        make: makes the object there; a module's function or a ``partial`` of one.

    Raises:
        RemoteError: it could not be made, in the words of the exception.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._guard = threading.Lock()
        with tempfile.TemporaryFile() as shared:
            shared.truncate(SHARED_BYTES)
            self._memory = mmap.mmap(shared.fileno(), SHARED_BYTES)
            path = os.pathsep.join(filter(None, (str(PROJECT_DIR), os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.live.remote", str(shared.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(shared.fileno(),),
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        try:
            self.call(MAKE, make)
        except RemoteError:
            self.close()
            raise

    def call(self, method: str, *arguments: Any, image: Image | None = None) -> Any:
        """The method's answer; ``image`` becomes its first argument. Raises RemoteError."""
        with self._guard:
            shape = None
            if image is not None and image.nbytes <= SHARED_BYTES:
                shape = image.shape
                np.ndarray(shape, np.uint8, self._memory)[:] = image
            elif image is not None:
                arguments = (image, *arguments)
            try:
                assert self._process.stdin is not None and self._process.stdout is not None
                _send(self._process.stdin, (method, shape, arguments))
                failed, answer = _receive(self._process.stdout)
            except (OSError, EOFError, ValueError) as error:
                raise RemoteError("Its process has ended.") from error
        if failed:
            raise RemoteError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RemoteEstimator(Estimator):
    """An estimator in a process of its own; see ``Estimator``."""

    def __init__(self, make: Callable[[], Estimator]) -> None:
        self._child = Child(partial(_Hosted, make))
        self.name, skeleton = self._child.call("described")
        self.skeleton: Skeleton = SKELETONS[skeleton]

    @property
    def info(self) -> ModelInfo:
        answer: ModelInfo = self._child.call("informed")
        return answer

    def reset(self) -> None:
        self._child.call("reset")

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:
        poses: tuple[PersonPose, ...] = self._child.call("update", time_s, image=image)
        return poses

    def close(self) -> None:
        """End its process."""
        self._child.close()


class _Hosted:
    """The other side of ``RemoteEstimator``."""

    def __init__(self, make: Callable[[], Estimator]) -> None:
        self._estimator = make()

    def described(self) -> tuple[str, str]:
        return self._estimator.name, self._estimator.skeleton.name

    def informed(self) -> ModelInfo:
        return self._estimator.info

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:
        return self._estimator.update(image, time_s)

    def reset(self) -> None:
        self._estimator.reset()


def _serve(shared: int) -> None:
    """Answer until the parent closes the pipe. Whatever is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    memory, questions = mmap.mmap(shared, SHARED_BYTES), sys.stdin.buffer
    held: Any = None
    while True:
        try:
            method, shape, arguments = _receive(questions)
        except EOFError:
            return
        try:
            if shape is not None:
                arguments = (np.ndarray(shape, np.uint8, memory), *arguments)
            if method == MAKE:
                held, answer = arguments[0](), None
            else:
                answer = getattr(held, method)(*arguments)
            reply = (False, answer)
        except Exception as error:  # noqa: BLE001 -- told to the parent
            reply = (True, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
        _send(answers, reply)


def _send(pipe: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(len(content).to_bytes(8, "little") + content)
    while view:
        view = view[pipe.write(view) or 0 :]
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """Raises EOFError when the other side is gone. Both sides are this program, so pickle is safe."""
    return pickle.loads(_exactly(pipe, int.from_bytes(_exactly(pipe, 8), "little")))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = pipe.read(size - len(content))
        if not part:
            raise EOFError
        content += part
    return content


if __name__ == "__main__":
    from pipeline.live.remote import _serve as serve  # the module under its own name, which pickle refers to

    serve(int(sys.argv[1]))
