"""Reports say what the analyses say, to the right person, and nothing is loaded from anywhere else."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.movements import analyze
from pipeline.movements.squat import PRESETS
from pipeline.poses import MediaInfo, PoseSequence, Recording
from pipeline.report import ReportError, make_progress_report, make_report, read_session, write_report
from pipeline.report.document import Bullets, Document, Finding, Numbers, Paragraph, Table
from pipeline.report.progress import progress_document, sessions_of, visit_of
from pipeline.report.run_report import _listed, run_document
from pipeline.report.sessions import session_day
from pipeline.report.stored import stored_sections
from pipeline.runs import Manifest, Run, RunStore
from pipeline.skeletons import COCO_17
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of

NAME = "Žofia <b>Müller</b>"


class Reader(HTMLParser):
    """Text, tags and what the page would load."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.text, self.open, self.sources = "", [], []  # type: ignore[var-annotated]
        self.tags: list[str] = []
        self.feed(content.decode())
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset") and value]
        if tag not in ("meta", "img", "col", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three shallow squats from the side, of somebody with a day."""
    folder = tmp_path_factory.mktemp("run")
    spec = ActorSpec.one("squat", repetitions=3, depth=0.65, view="right", seed=2)
    made = run_of(RunStore(folder / "runs"), folder, spec)
    return made.update(subject=NAME, tags=["2026-03-14", "knee"])


def section(document: Document, title: str) -> tuple[object, ...]:
    return next(s.blocks for s in document.sections if s.title == title)


def words(document: Document) -> str:
    return repr(document)


def test_the_html_is_whole_safe_and_self_contained(run: Run) -> None:
    page = Reader(content := make_report(run, "html", note="Slowly & <i>gently</i>."))
    assert NAME in page.text
    assert "14 March 2026" in page.text
    assert "Slowly & <i>gently</i>." in page.text
    assert not {"b", "i", "script", "link", "iframe"} & set(page.tags[page.tags.index("dl") :]) - {"b"}
    assert page.tags.count("b") == len(section(run_document(read_session(run)), "At a glance")[0].items)  # type: ignore[attr-defined]
    assert page.sources
    assert all(source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for source in page.sources)
    assert not re.search(rb"https?://|@import|url\(", content)
    assert page.tags.count("img") >= 3 + 3  # a thumbnail each, and the figures


def test_it_says_what_the_analysis_says(run: Run) -> None:
    report = analyze(run.recording())
    document = run_document(read_session(run))
    numbers, summary = section(document, "At a glance")
    assert isinstance(numbers, Numbers) and isinstance(summary, Bullets)
    assert numbers.items[0] == ("3", "complete repetitions")
    assert summary.items == report.summary
    (table,) = section(document, "Every repetition")
    assert isinstance(table, Table)
    assert len(table.rows) == len(report.repetitions)
    faults = {remark.label for remark in report.remarks}
    assert faults
    titles = [block.title.lower() for block in section(document, "What to work on") if isinstance(block, Finding)]
    assert all(any(title.startswith(label) for label in faults) for title in titles)
    for refusal in report.refusals:
        assert refusal.label in words(document)
    methods = words(document)
    assert all(rule_source in methods for rule_source in ("Herrington and Munro 2010", "Myer et al. 2014"))
    assert "no diagnosis" in methods


def test_the_pdf_holds_pages_pictures_and_letters(run: Run, tmp_path: Path) -> None:
    content = make_report(run, "pdf")
    assert content.startswith(b"%PDF-1.") and content.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", content)) >= 2
    assert content.count(b"/Subtype /Image") >= 4
    assert b"FontFile2" in content  # letters are inside
    if shutil.which("pdftotext"):
        path = tmp_path / "report.pdf"
        path.write_bytes(content)
        text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
        assert "Žofia <b>Müller</b>" in text
        assert "complete repetitions" in text
        assert "°" in text and "±" in text


def test_a_kept_judgement_is_reported_as_it_was(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.folder, tmp_path / "copy")
    copy = Run(tmp_path / "copy")
    loose = replace(PRESETS["beginner"], thigh_deg=80.0, knee_deg=170.0)
    copy.add_result("movement-squat-person0", analyze(copy.recording(), "squat", 0, loose).to_json())
    (report,) = read_session(copy).sets
    assert report.preset == "custom"
    assert report.parameters == asdict(loose)
    assert not any(remark.fault == "shallow" for remark in report.remarks)
    assert any(remark.fault == "shallow" for remark in read_session(run).sets[0].remarks)


def test_without_a_clip_the_poses_are_drawn(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.folder, tmp_path / "copy")
    copy = Run(tmp_path / "copy")
    source = copy.source
    assert source is not None
    source.unlink()
    assert Reader(make_report(copy)).tags.count("img") >= 6


def a_run(store: RunStore, recording: Recording) -> Run:
    with store.create("x") as builder:
        builder.finish(recording, tables=False)
    return store.get(builder.id)


def test_empty_runs_have_reports(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    time_s = np.arange(10) / 30
    nobody = a_run(store, Recording((), time_s))
    unseen = a_run(store, Recording((PoseSequence.empty(COCO_17, (64, 48), 1, time_s),), time_s))
    no_frames = a_run(store, Recording.empty())
    one = PoseSequence.empty(COCO_17, (64, 48), 1, time_s[:1])
    picture = a_run(store, Recording((one,), time_s[:1], MediaInfo(kind="image", width=64, height=48)))
    for made, text in (
        (nobody, "Nobody was found"),
        (no_frames, "Nobody was found"),
        (unseen, "No repeated movement"),
        (picture, "single picture"),
    ):
        assert text in Reader(make_report(made)).text
        assert make_report(made, "pdf").startswith(b"%PDF")


def test_bad_questions(run: Run) -> None:
    with pytest.raises(ReportError, match="no person 9"):
        make_report(run, person=9)
    with pytest.raises(ReportError, match="html or pdf"):
        make_report(run, "docx")  # type: ignore[arg-type]


def test_the_day_comes_from_a_tag_else_from_the_run() -> None:
    manifest = Manifest("x", "2026-05-02T23:30:00+00:00", {}, tags=["a", "2026-04-01"])
    assert f"{session_day(manifest)}" == "2026-04-01"
    assert f"{session_day(replace(manifest, tags=[]))}" == "2026-05-02"
    with pytest.raises(ReportError, match="date"):
        session_day(replace(manifest, created_utc="yesterday", tags=[]))


def test_numbers_are_listed_as_people_do() -> None:
    assert _listed([1]) == "1"
    assert _listed([1, 2]) == "1, 2"
    assert _listed([1, 2, 3, 5, 7, 8, 9, 10]) == "1 to 3, 5, 7 to 10"


def test_stored_falls_scores_and_exercises_are_printed() -> None:
    results = {
        "falls": {"events": [{"person": 1, "onset_s": 2.0, "impact_s": 2.63, "lying_s": None, "probability": 0.93}]},
        "score-squat": {"score": 1.24, "interval": [0.9, 1.6], "band": "good", "exercise": "deep_squat",
                        "reasons": [{"joint": "left_knee", "time_s": 3.14, "points": 0.42, "repetition": 2,
                                     "rule": "knees fell inwards"}, "Shallow."], "verdicts": {},
                        "target": "It is not a clinician's grade."},
        "recognition": {"segments": [{"exercise": "push_up", "start_s": 1, "end_s": 9.5, "confidence": 0.8,
                                      "repetitions": 4, "person": 1}]},
    }  # fmt: skip
    sections = {s.title: repr(s.blocks) for s in stored_sections(results, 1)}
    assert "1 fall was found" in sections["Falls"] and "2.6 s" in sections["Falls"] and "93 %" in sections["Falls"]
    for part in (
        "1.2",
        "0.9 to 1.6",
        "deep squat",
        "left knee in repetition 2 at 3.1 s, 0.4 points: knees fell inwards",
        "Shallow.",
        "not a clinician",
    ):
        assert part in sections["Exercise score"]
    assert "push up" in sections["Exercises in the clip"] and "1.0 s to 9.5 s" in sections["Exercises in the clip"]
    assert stored_sections({"falls": {"events": [], "person": 2}}, 1) == []
    assert "No fall was found" in repr(stored_sections({"falls": {"events": []}}, 1))
    refused = {"score": {"score": None, "verdicts": [{"stage": "gate_2d", "ok": False, "reasons": ["Too dark."]}]}}
    assert "gate 2d: Too dark." in repr(stored_sections(refused, 1))


def test_write_report_keeps_both_beside_the_run(run: Run) -> None:
    paths = write_report(run)
    assert [path.name for path in paths] == ["report.html", "report.pdf"]
    assert all(path.parent == run.folder and path.stat().st_size > 10_000 for path in paths)
    for path in paths:
        path.unlink()


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Three sessions of one person, stored in no order; one of somebody else."""
    folder = tmp_path_factory.mktemp("sessions")
    store = RunStore(folder / "runs")
    for day, depth, who in (
        ("2026-02-10", 1.0, "Ada L."),
        ("2026-01-05", 0.65, "ada  l."),
        ("2026-01-20", 0.8, "Ada L."),
        ("2026-01-20", 1.0, "Somebody"),
    ):
        spec = ActorSpec.one("squat", repetitions=3, depth=depth, view="right", seed=5)
        run_of(store, folder, spec).update(subject=who, tags=[day])
    return store


def test_progress_is_in_the_order_of_days_and_measures_the_change(sessions: RunStore) -> None:
    found = sessions_of(sessions, " ADA l. ")
    assert [f"{s.day}" for s in found] == ["2026-01-05", "2026-01-20", "2026-02-10"]
    visits = [visit_of(session, session.sets[0]) for session in found]
    assert visits[0].depth > visits[1].depth > visits[2].depth  # the thigh gets nearer to level
    assert (visits[0].good, visits[-1].good) == (0.0, 1.0)
    document = progress_document("ada", found)
    assert document.subtitle == "ada  l., 05 January 2026 to 10 February 2026"
    blocks = section(document, "Squat")
    assert "more than the measurement could produce by chance" in repr(blocks)
    assert "0% → 100%" in repr(blocks)
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[0].text for row in table.rows] == ["05 Jan 2026", "20 Jan 2026", "10 Feb 2026"]
    assert not any(isinstance(block, Paragraph) and "different sides" in block.text for block in blocks)
    page = Reader(make_progress_report(sessions, "Ada L."))
    assert page.tags.count("img") == 1
    assert make_progress_report(sessions, "Ada L.", "pdf").startswith(b"%PDF")


def test_the_same_session_twice_is_no_change(sessions: RunStore) -> None:
    (session,) = sessions_of(sessions, "Somebody")
    document = progress_document("Somebody", [session, session])
    assert "no clear change" in repr(section(document, "Squat"))
    alone = progress_document("Somebody", [session])
    assert "One session so far" in repr(section(alone, "Squat"))


def test_nobody_of_this_name(sessions: RunStore) -> None:
    with pytest.raises(ReportError, match=r"Ada L., .*Somebody"):
        sessions_of(sessions, "Nobody")
    with pytest.raises(ReportError, match="No clip"):
        sessions_of(sessions, "  ")


def test_commands(
    run: Run, sessions: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = ["--out", str(run.folder.parent)]
    assert main(["report", run.id, "--out-file", "mine.pdf", *store]) == 0
    assert (tmp_path / "mine.pdf").read_bytes().startswith(b"%PDF")
    assert not (tmp_path / "mine.html").exists()
    assert main(["progress", "--subject", "ada l.", "--out", str(sessions.folder)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"mine.pdf", "progress-ada-l.html", "progress-ada-l.pdf"}
    assert main(["export", run.id, "--format", "trc", "--out-file", "x.trc", "--filtered", *store]) == 0
    assert main(["import", "x.trc", "--subject", "P", "--out", str(tmp_path / "o"), "--json"]) == 0
    assert len(RunStore(tmp_path / "o").runs()) == 1
    capsys.readouterr()
    assert main(["progress", "--subject", "x", "--out", str(sessions.folder)]) == 1
    assert main(["import", "gone.trc"]) == 1
    assert capsys.readouterr().err.count("\n") == 2
