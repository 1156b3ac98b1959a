"""The film of an analysed set: the repetition and its phase, and each fault on its limb at the moment that shows it.

Drawn on the source clip and kept in the run, one film a movement and person; another judgement replaces it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from pipeline.drawing import DEFAULT_THRESHOLD, draw_pose
from pipeline.estimation.base import Image
from pipeline.film import Asked, Told, draw_film
from pipeline.movements.base import MovementReport, Remark, RepetitionReport
from pipeline.movements.evidence import FAULT, amount, highlight, write
from pipeline.poses import Recording
from pipeline.runs import Run, slug

HOLD_S = 0.6  # a fault stays on the limb this long before and after its moment, so that an eye can find it


def result_name(report: MovementReport) -> str:
    """What the run calls this analysis: ``movement-squat-person1``."""
    return f"movement-{slug(report.movement)}-person{report.person}"


def video_name(report: MovementReport) -> str:
    """The film's file; it changes with everything that the film shows."""
    shown = [[r.number, r.start_s, r.end_s, r.complete, [_shown(x) for x in r.remarks]] for r in report.repetitions]
    return f"{result_name(report)}-{hashlib.sha256(orjson.dumps(shown)).hexdigest()[:8]}.mp4"


def _shown(remark: Remark) -> list[object]:
    return [remark.label, remark.side, remark.value, remark.threshold, remark.time_s, remark.joints]


def find_video(run: Run, report: MovementReport) -> Path | None:
    """The film of exactly this report; None when it was not made yet."""
    return run.file(video_name(report))


def repetition_at(report: MovementReport, time_s: float) -> RepetitionReport | None:
    """The repetition that goes on at this moment; the later one where two meet."""
    inside = [r for r in report.repetitions if r.start_s - 1e-6 <= time_s <= r.end_s + 1e-6]
    return inside[-1] if inside else None


def phase_at(repetition: RepetitionReport, time_s: float) -> str:
    """The phase's name; empty when the phases are not clear."""
    return next((p.name for p in repetition.phases if p.start_s - 1e-6 <= time_s <= p.end_s + 1e-6), "")


def remarks_at(report: MovementReport, time_s: float) -> tuple[Remark, ...]:
    """The faults to show at a moment: within ``HOLD_S`` of their own, and inside their repetition."""
    repetition = repetition_at(report, time_s)
    if repetition is None:
        return ()
    return tuple(remark for remark in repetition.remarks if abs(time_s - remark.time_s) <= HOLD_S)


def status(report: MovementReport, time_s: float) -> str:
    """One line about a moment: "squat 2 of 4, down"."""
    total = len(report.repetitions)
    repetition = repetition_at(report, time_s)
    if repetition is None:
        done = sum(r.complete and r.end_s < time_s for r in report.repetitions)
        return f"{report.movement_label}: {done} of {total} done" if total else f"{report.movement_label}: none found"
    phase = phase_at(repetition, time_s)
    end = "" if repetition.complete else ", cut off"
    return f"{report.movement_label} {repetition.number} of {total}{', ' + phase if phase else ''}{end}"


def draw_moment(
    image: Image,
    recording: Recording,
    report: MovementReport,
    frame: int,
    *,
    scale: float = 1.0,
    threshold: float = DEFAULT_THRESHOLD,
) -> None:
    """Draw one frame of the film into ``image`` (in place).

    Args:
        image: (H, W, 3) RGB frame of the source, ``scale`` times its size.
        frame: its position in the recording.
        threshold: points less confident than this are not drawn.
    """
    time_s = float(recording.time_s[frame])
    for person in recording.people:
        mine = person.person == report.person
        draw_pose(
            image,
            person.skeleton,
            person.xy_px[frame] * scale,
            person.score[frame],
            person=person.person,
            threshold=threshold,
            label="" if mine and len(recording.people) == 1 else None,
        )
    shown = remarks_at(report, time_s)
    analysed = next((p for p in recording.people if p.person == report.person), None)
    if analysed is not None:
        for remark in shown:
            highlight(image, analysed, analysed.xy_px[frame] * scale, remark.joints, FAULT)
    who = f"person {report.person}: " if len(recording.people) > 1 else ""
    height = write(image, who + status(report, time_s), (0, 0), align="corner")
    for line, remark in enumerate(shown):
        side = "" if remark.side == "both" else f", {remark.side}"
        text = f"! {remark.label}{side}: {amount(remark.value, remark.unit)}"
        write(image, text, (0, image.shape[0] - (len(shown) - line) * (height + 2)), FAULT, align="corner")


def make_video(
    run: Run, recording: Recording, report: MovementReport, *, progress: Told = None, cancelled: Asked = None
) -> Path:
    """Draw the film on the run's source clip and keep it in the run (``video_name``); earlier films of the set go.

    Raises:
        FilmError, MediaError: as ``pipeline.film.draw_film``.
    """

    def draw(image: Image, frame: int, scale: float) -> None:
        draw_moment(image, recording, report, frame, scale=scale)

    earlier = f"{result_name(report)}-*.mp4"
    return draw_film(
        run, video_name(report), recording.time_s, draw, replaces=earlier, progress=progress, cancelled=cancelled
    )
