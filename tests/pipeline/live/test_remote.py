"""Models and analyses in processes of their own answer as they do here, and say what goes wrong there."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pytest

from pipeline.live.models import live_estimator, remote_estimator
from pipeline.live.panels import LivePose, PanelSet, PanelSettings, make_panels
from pipeline.live.remote import Child, RemoteError, RemoteEstimator
from pipeline.live.remote_panels import RemotePanels
from pipeline.repetitions import find_repetitions
from pipeline.synthetic.actor import ActorSpec, clip_frames
from tests.pipeline.live.stubs import SIZE, Told, squats


def fail() -> Told:
    raise ValueError("The weights are not there; download them.")


def test_the_same_frames_give_the_same_poses() -> None:
    near, far = live_estimator(), remote_estimator()
    try:
        assert far.skeleton is near.skeleton
        assert far.info == near.info
        spec = ActorSpec.one("squat", repetitions=1, size=(320, 240), fps=10)
        seen = 0
        for picture, time_s in clip_frames(spec):
            mine, theirs = near.update(picture, time_s), far.update(picture, time_s)
            assert [pose.person for pose in mine] == [pose.person for pose in theirs]
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one.xy_px, other.xy_px)
                np.testing.assert_array_equal(one.xyz_m, other.xyz_m)
                seen += 1
        assert seen > 10
        far.reset()
        assert far.update(np.zeros((2, 2, 3), np.uint8), 0.0) == (), "time may begin anew"
    finally:
        far.close()


def test_the_same_poses_give_the_same_readings() -> None:
    settings = PanelSettings("squat", ("Movement", "Angles"))
    near, far = PanelSet(make_panels(settings)), RemotePanels(settings)
    recording = squats(3, fps=15)
    person = recording.people[0]
    try:
        for frame, time_s in enumerate(recording.time_s):
            pose = LivePose(person.skeleton, SIZE, float(time_s), person.xy_px[frame], person.score[frame])
            near.update(pose)
            far.update(pose)
            assert far.readings == near.readings
        assert dict(far.readings[0][1].metrics)["Repetitions"] in ("2", "3")
        near.finish()
        far.finish()
        assert far.readings == near.readings
        turns_s = [repetition.turn_s for repetition in find_repetitions(person).complete]
        assert far.readings[0][1].turns_s == pytest.approx(turns_s, abs=1e-6), "at the end live is batch"
        far.reset()
        assert dict(far.readings)["Movement"].metrics == ()
    finally:
        far.close()


def test_what_goes_wrong_there_is_said_here() -> None:
    with pytest.raises(RemoteError, match="The weights are not there; download them"):
        RemoteEstimator(fail)
    with Child(partial(Told)) as child:
        with pytest.raises(RemoteError, match="AttributeError"):
            child.call("fly")
        os.kill(child._process.pid, signal.SIGKILL)
        with pytest.raises(RemoteError, match="has ended"):
            child.call("reset")


def test_a_picture_larger_than_the_shared_memory_arrives_too() -> None:
    with Child(list) as child:
        big = np.zeros((2000, 2000, 3), np.uint8)
        big[-1, -1] = 7
        child.call("append", image=big)
        np.testing.assert_array_equal(child.call("pop"), big)
