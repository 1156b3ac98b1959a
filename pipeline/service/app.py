"""The REST service: post a clip and ask for its job, or post poses and get the answer at once.

The same tasks as ``python -m pipeline batch`` (``batch/tasks.py``). Errors are ``{"detail": sentence}``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException  # FastAPI's own, and what it raises itself

from pipeline import __version__
from pipeline.batch.items import DONE, TaskRecord
from pipeline.batch.tasks import INFER, TASKS, Task, available_tasks, tasks_named
from pipeline.inference import InferenceOptions
from pipeline.poses import Recording
from pipeline.runs import Run
from pipeline.service.docs_page import docs_page
from pipeline.service.guard import BodyLimit, LocalOnly, TokensOnly, is_owner, owner_of
from pipeline.service.jobs import Job, JobQueue, QueueError, QueueFull, UnknownJob
from pipeline.service.options import ServiceOptions
from pipeline.service.stages import StageAnswer, UnknownStage, stage_of_poses, stage_of_run
from pipeline.service.worker import ServiceWorker

EVERYBODY = "everybody"


class Trouble(BaseModel):
    """What every refusal looks like."""

    detail: str


def _troubles(**texts: str) -> dict[int | str, dict[str, Any]]:
    """Refusals for the OpenAPI document, ``_404="why"``."""
    return {int(status[1:]): {"model": Trouble, "description": text} for status, text in texts.items()}


_EVERYWHERE = _troubles(
    _400="the body cannot be read",
    _401="no token, or an unknown one",
    _403="from elsewhere, and there are no tokens",
    _413="too large",
    _422="what was asked makes no sense; the sentence says why",
)
_NOT_FOUND = _troubles(_404="no such job of this caller")
_NOT_DONE = _NOT_FOUND | _troubles(_409="not done (yet)")
_ROOM = _troubles(_429="too many of your jobs are waiting", _507="no room on the disk")
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}
_TABLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, "text/csv": {}}}}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"video/mp4": {}, "image/png": {}}}}
_MIB = 2**20
_OPTIONS: TypeAdapter[InferenceOptions] = TypeAdapter(InferenceOptions)
_SECRET_OPTIONS = ("link_source",)  # the upload is ours and goes
Format = Literal["json", "csv"]


def create_app(
    store: Path, tokens: Sequence[str] = (), options: ServiceOptions | None = None, *, work: bool = True
) -> FastAPI:
    """The service over a run store.

    Args:
        tokens: who shows one of them may come in and sees only what came with the same one; none lets everybody on
            this machine in.
        work: also do the jobs; False only takes them (another process does them).

    Raises:
        QueueError: the store cannot be written.
    """
    options = options or ServiceOptions()
    queue = JobQueue(store, max_waiting=options.max_waiting, max_attempts=options.max_attempts)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(queue.sweep_uploads)
        await run_in_threadpool(queue.sweep)
        app.state.worker = ServiceWorker(queue) if work else None
        if app.state.worker is not None:
            app.state.worker.start()
        yield
        if app.state.worker is not None:
            await run_in_threadpool(app.state.worker.stop)

    app = FastAPI(
        title="Kinoscope", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Poses of everybody in a clip, and what they do. Post a clip to /jobs and ask for the job until it "
        "is done, or post poses you have to /poses and get the answer at once.",
        responses=_EVERYWHERE, dependencies=[Depends(known_parameters_only)],
    )  # fmt: skip
    app.state.queue, app.state.worker = queue, None
    app.state.owners = sorted({owner_of(token) for token in tokens})
    limits = {"/jobs": options.max_upload_mib * _MIB, "/poses": options.max_poses_mib * _MIB}
    app.add_middleware(BodyLimit, limits=limits)
    if tokens:
        app.add_middleware(TokensOnly, owners=app.state.owners, heads=tuple(limits))
    else:
        app.add_middleware(LocalOnly)
    _add_errors(app)
    _add_general(app)
    _add_jobs(app, queue)
    _add_poses(app)
    return app


_bearer = HTTPBearer(auto_error=False, description="One of the service's tokens; needed when it has any.")


def caller(request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """Who asks: the owner of the token that is shown. Raises HTTPException 401."""
    owners: list[str] = request.app.state.owners
    if not owners:
        return EVERYBODY
    owner = owner_of(shown.credentials) if shown else ""
    if not is_owner(owner, owners):
        raise HTTPException(401, "Show one of the service's tokens.", {"WWW-Authenticate": "Bearer"})
    return owner


Owner = Annotated[str, Depends(caller)]


def known_parameters_only(request: Request) -> None:
    """A misspelt parameter is no wish to be ignored. Raises HTTPException 422."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        there_is = ", ".join(sorted(known)) or "none"
        raise HTTPException(422, f"There is no parameter {unknown[0][:40]!r} here; there is: {there_is}.")


def _add_errors(app: FastAPI) -> None:
    def refuse(status: int) -> Any:
        def handler(_request: Request, error: Exception) -> JSONResponse:
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            return JSONResponse({"detail": str(text)}, status)

        return handler

    def http_error(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AnyHTTPException)
        if isinstance(error.__cause__, OSError):  # the upload found no place while it was read
            return JSONResponse({"detail": f"The upload could not be stored ({error.__cause__.strerror})."}, 507)
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)

    app.add_exception_handler(UnknownJob, refuse(404))
    app.add_exception_handler(UnknownStage, refuse(404))
    app.add_exception_handler(QueueFull, refuse(429))
    app.add_exception_handler(QueueError, refuse(507))
    app.add_exception_handler(ValueError, refuse(422))

    def bad_request(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        reasons = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        return JSONResponse({"detail": f"The request cannot be used ({'; '.join(reasons)}); see /docs."}, 422)

    app.add_exception_handler(AnyHTTPException, http_error)
    app.add_exception_handler(RequestValidationError, bad_request)


def _add_general(app: FastAPI) -> None:
    @app.get("/health", tags=["about"])
    def health() -> dict[str, str]:
        """Is the service there?"""
        return {"state": "ok", "kinoscope": __version__}

    @app.get("/tasks", tags=["about"])
    def tasks() -> dict[str, str]:
        """What can be asked for, and what each tells."""
        return {name: TASKS[name].text for name in available_tasks()}

    @app.get("/docs", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))


def _add_jobs(app: FastAPI, queue: JobQueue) -> None:
    @app.post(
        "/jobs",
        status_code=202,
        tags=["jobs"],
        responses=_ROOM,
    )
    def post_job(
        owner: Owner,
        file: UploadFile,
        tasks: Annotated[list[str], Form(description="what to do; see /tasks")] = [INFER, "analyze"],  # noqa: B006
        options: Annotated[str, Form(description=_options_text())] = "{}",
    ) -> dict[str, Any]:
        """Take a picture or clip. The answer comes when job and clip are safely on the disk."""
        names = [task.name for task in tasks_named([name for entry in tasks for name in entry.split(",") if name])]
        job = queue.submit(owner, file.filename or "", file.file, names, _options(options))
        if app.state.worker is not None:
            app.state.worker.wake()
        return job.to_json()

    @app.get("/jobs", tags=["jobs"])
    def get_jobs(
        owner: Owner,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")] = None,
    ) -> dict[str, Any]:
        """Your jobs, newest first, a page at a time."""
        jobs = queue.jobs(owner, limit, before)
        return {"jobs": [job.to_json() for job in jobs], "next": jobs[-1].number if len(jobs) == limit else None}

    @app.get("/jobs/{job_id}", tags=["jobs"], responses=_NOT_FOUND)
    def get_job(owner: Owner, job_id: str) -> dict[str, Any]:
        """Where a job is: waiting, running (the task at hand, frames done, seconds left), done or failed (and why)."""
        return queue.get(owner, job_id).to_json()

    @app.delete("/jobs/{job_id}", status_code=204, tags=["jobs"], responses=_NOT_FOUND)
    def delete_job(owner: Owner, job_id: str) -> Response:
        """Forget a job, its clip and its results; a running one stops."""
        queue.delete(owner, job_id)
        return Response(status_code=204)

    @app.get("/jobs/{job_id}/result", tags=["results"], response_class=Response, responses=_JSON | _NOT_DONE)
    def get_result(
        owner: Owner,
        job_id: str,
        poses: Annotated[bool, Query(description="the skeletons of every frame, too")] = False,
    ) -> Response:
        """Everything: the run, what each task says, and on demand everybody's skeletons."""
        job, run = _done(queue, owner, job_id)
        assert job.record is not None
        results = run.results()
        document: dict[str, Any] = {
            "job": job.to_json(),
            "run": asdict(run.manifest),
            "results": {
                name: results.get(task.analysis) if task.analysis else None
                for name, task in job.record.tasks.items()
                if name != INFER
            },
            "errors": {name: task.error for name, task in job.record.tasks.items() if task.error},
        }
        if poses:
            document["poses"] = orjson.Fragment(run.recording().to_json())
        return Response(orjson.dumps(document), media_type="application/json")

    @app.get(
        "/jobs/{job_id}/results/{task}",
        tags=["results"],
        response_class=Response,
        responses=_TABLE | _NOT_DONE,
    )
    def get_task_result(owner: Owner, job_id: str, task: str, format: Annotated[Format, Query()] = "json") -> Response:
        """One task's answer; as CSV its table (one row a repetition, event ...). ``infer`` gives the poses."""
        job, run = _done(queue, owner, job_id)
        found = _asked(job, task)
        if not found.analysis:
            return _file(run, f"poses.{format}")
        return _answer(TASKS[task], run.results()[found.analysis], format)

    @app.get(
        "/jobs/{job_id}/results/score/{stage}",
        tags=["results"],
        response_class=Response,
        responses=_TABLE | _NOT_DONE,
    )
    def get_stage_result(
        owner: Owner, job_id: str, stage: str, format: Annotated[Format, Query()] = "json"
    ) -> Response:
        """One stage of a score: was it reached, was it content, its measurements and its table."""
        job, run = _done(queue, owner, job_id)
        return _stage(stage_of_run(run, _asked(job, "score").analysis, stage), format)

    @app.get(
        "/jobs/{job_id}/overlay",
        tags=["results"],
        response_class=Response,
        responses=_PICTURE | _NOT_DONE,
    )
    def get_overlay(owner: Owner, job_id: str) -> Response:
        """The clip or picture with the poses drawn in."""
        _, run = _done(queue, owner, job_id)
        if run.overlay is None:
            raise HTTPException(404, "This job was asked for no overlay.")
        return FileResponse(run.overlay)


def _add_poses(app: FastAPI) -> None:
    body = {
        "requestBody": {
            "required": True,
            "description": "the poses of a clip: `poses.json` of a run, or what /jobs/{id}/results/infer gives",
            "content": {"application/json": {"schema": _POSES_SCHEMA}},
        }
    }

    @app.post(
        "/poses/{task}",
        tags=["poses"],
        response_class=Response,
        openapi_extra=body,
        responses=_TABLE | _troubles(_404="no such task"),
    )
    async def post_poses(
        _owner: Owner, task: str, request: Request, format: Annotated[Format, Query()] = "json"
    ) -> Response:
        """One analysis of poses you have; nothing is stored."""
        if task not in TASKS:
            raise HTTPException(404, f"There is no task {task[:40]!r}; choose from: {', '.join(available_tasks())}.")
        (asked,) = tasks_named([task])
        content = await request.body()
        return await run_in_threadpool(lambda: _answer(asked, asked.of_poses(_recording(content)).values, format))

    @app.post(
        "/poses/score/{stage}",
        tags=["poses"],
        response_class=Response,
        openapi_extra=body,
        responses=_TABLE | _troubles(_404="no such stage"),
    )
    async def post_poses_to_stage(
        _owner: Owner, stage: str, request: Request, format: Annotated[Format, Query()] = "json"
    ) -> Response:
        """What one stage of the scoring chain says about poses you have; nothing is stored."""
        content = await request.body()
        return await run_in_threadpool(lambda: _stage(stage_of_poses(_recording(content), stage), format))


def _recording(content: bytes) -> Recording:
    try:
        return Recording.from_json(content)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"These are no poses ({type(error).__name__}: {error}); post a run's poses.json, or look at /docs."
        ) from error


def _answer(task: Task, values: dict[str, Any], form: Format) -> Response:
    if form == "csv":
        return PlainTextResponse(task.csv(values), media_type="text/csv")
    return Response(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _stage(answer: StageAnswer, form: Format) -> Response:
    if form == "csv":
        return PlainTextResponse(answer.csv, media_type="text/csv")
    return Response(orjson.dumps(answer.to_json()), media_type="application/json")


def _asked(job: Job, task: str) -> TaskRecord:
    """What a done job's record says of a task. Raises HTTPException when it was not asked for, or failed."""
    assert job.record is not None
    found = job.record.tasks.get(task)
    if found is None:
        asked = ", ".join(job.record.tasks)
        raise HTTPException(404, f"This job was not asked for {task[:40]!r}; it was asked for: {asked}.")
    if found.state != DONE:
        raise HTTPException(409, found.error)
    return found


def _file(run: Run, name: str) -> Response:
    path = run.file(name)
    if path is None:
        raise HTTPException(404, f"The run has no {name}.")
    return FileResponse(path)


def _done(queue: JobQueue, owner: str, job_id: str) -> tuple[Job, Run]:
    job = queue.get(owner, job_id)
    if job.state != DONE or job.record is None:
        reason = job.record.errors if job.record else "ask for the job until it is done."
        raise HTTPException(409, f"The job is {job.state}: {reason}")
    try:
        return job, queue.store.get(job.record.run)
    except ValueError as error:
        raise HTTPException(404, f"The run {job.record.run} of this job was deleted.") from error


def _options(text: str) -> InferenceOptions:
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"options must be a JSON object ({error}).") from error
    known = {field.name for field in fields(InferenceOptions)} - set(_SECRET_OPTIONS)
    if not isinstance(values, dict) or not set(values) <= known:
        raise ValueError(f"options must be a JSON object with some of: {', '.join(sorted(known))}.")
    try:
        return _OPTIONS.validate_python(values, strict=False)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ValueError(f"options cannot be used ({reasons}).") from error


def _options_text() -> str:
    names = ", ".join(field.name for field in fields(InferenceOptions) if field.name not in _SECRET_OPTIONS)
    return f"a JSON object with some of: {names}; as in `python -m pipeline infer --help`"


_NUMBERS = {"type": "array", "items": {}}
_POSES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["schema_version", "skeleton", "source", "model", "people", "time_s"],
    "properties": {
        "schema_version": {"type": "integer"},
        "skeleton": {"type": ["string", "null"], "description": "blazepose33, coco17 ..."},
        "source": {"type": "object"},
        "model": {"type": "object"},
        "time_s": _NUMBERS | {"description": "seconds of every frame"},
        "people": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["person", "image_size", "xy_px", "score"],
                "properties": {
                    "person": {"type": "integer"},
                    "image_size": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                    "xy_px": _NUMBERS | {"description": "frames x joints x 2, null where not seen"},
                    "score": _NUMBERS | {"description": "frames x joints, 0 to 1"},
                    "xyz_m": {"type": ["array", "null"]},
                },
            },
        },
    },
}
