"""What the fall forest is compared with: the forest it replaces, a rule, a small temporal network.

All see the same people in the same folds and give one value a moment of the same grid, so one measure serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from sklearn.ensemble import RandomForestClassifier

from pipeline.falls.features import CENTRE, WINDOW, joint
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_13
from pipeline.training.fall_data import Windows

FLOOR_FRAMES, FLOOR_STEP = 10, 5


# --- the floor: pixels, frames, missing joints as zeros -------------------------------------------------------------


def floor_features(sequence: PoseSequence) -> tuple[Array, Array]:
    """(N,) middle times and (N, 4 x 2 x J) mean, std, min, max of each pixel coordinate; 10 frames, step 5."""
    flat = np.nan_to_num(sequence.to(KINECT_13).xy_px.reshape(len(sequence), 2 * len(KINECT_13)))
    if len(flat) < FLOOR_FRAMES:
        return np.empty(0), np.empty((0, 4 * flat.shape[1]))
    rows = sliding_window_view(flat, FLOOR_FRAMES, axis=0)[::FLOOR_STEP]
    times = sliding_window_view(sequence.time_s, FLOOR_FRAMES)[::FLOOR_STEP].mean(axis=1)
    statistics = [reduce(rows, axis=2) for reduce in (np.mean, np.std, np.min, np.max)]
    return times, np.concatenate(statistics, axis=1)


def floor_votes(
    train: Sequence[Windows], test: Sequence[Windows], *, trees: int, seed: int
) -> dict[int, Array]:  # fmt: skip
    """The floor's forest: one value a moment, the sliding average of three windows; by ``id`` of the windows."""
    values, labels = [], []
    for one in train:
        if one.cut:
            continue
        times, rows = floor_features(one.example.sequence)
        if not len(times):
            continue
        label = np.zeros(len(times))
        for fall in one.example.falls:  # a window that touches the fall shows it
            label[(times >= fall.onset_s) & (times <= fall.impact_s + 0.5)] = 1
        values.append(rows)
        labels.append(label)
    forest = RandomForestClassifier(trees, class_weight="balanced", min_samples_leaf=2, random_state=seed, n_jobs=1)
    forest.fit(np.concatenate(values), np.concatenate(labels).astype(int))
    votes = {}
    for one in test:
        times, rows = floor_features(one.example.sequence)
        if len(times) and len(one.grid):
            share = uniform_filter1d(forest.predict_proba(rows)[:, 1], 3, mode="nearest")
            votes[id(one)] = np.interp(one.grid.time_s, times, share)
        else:
            votes[id(one)] = np.zeros(len(one.grid))
    return votes


# --- a rule ---------------------------------------------------------------------------------------------------------


def rule_votes(windows: Sequence[Windows]) -> dict[int, Array]:
    """A fast drop, then lying still: how far the weakest of the three is beyond its limit, in 0..1; 0.5 is the limit.

    Limits: head or hips fall at 0.6 body heights a second (a fall from standing takes about a second), the trunk lies
    below 45 degrees afterwards, and the joints move less than 0.6 body heights a second.
    """
    votes = {}
    for one in windows:
        if not len(one.grid):
            votes[id(one)] = np.zeros(0)
            continue
        names = one.table.names

        def column(name: str, table: Array = one.table.values, names: tuple[str, ...] = names) -> Array:
            return np.asarray(table[:, names.index(name)], dtype=float)

        speed = np.fmax(column("hip_fall_speed_h_s"), column("head_fall_speed_h_s")) / 0.6
        tilt = column("trunk_deg.after") / 45
        still = 0.6 / np.maximum(column("motion_h_s.after"), 1e-3)
        weakest = np.minimum(np.minimum(speed, tilt), still)
        votes[id(one)] = np.nan_to_num(np.clip(weakest / 2, 0, 1))
    return votes


# --- a small temporal network ---------------------------------------------------------------------------------------


def network_input(one: Windows, rows: NDArray[np.int_]) -> Array:
    """(N, 39, WINDOW) joints around the hips' mean place in body heights, and a mask of what is known, of some rows."""
    points, height = one.grid.xy_px, one.grid.height_px
    lead = np.full((CENTRE, 26), np.nan)
    tail = np.full((WINDOW - 1 - CENTRE, 26), np.nan)
    flat = sliding_window_view(np.concatenate([lead, points.reshape(-1, 26), tail]), WINDOW, axis=0)[rows]
    flat = flat.reshape(len(flat), 13, 2, WINDOW)
    hips = joint(flat.transpose(0, 3, 1, 2), "hip")  # (N, WINDOW, 2)
    known = np.isfinite(hips).all(axis=2)
    count = np.maximum(known.sum(axis=1), 1)[:, None]
    centre = np.where(known[..., None], hips, 0).sum(axis=1) / count
    scaled = (flat - centre[:, None, :, None]) / height[rows][:, None, None, None]
    mask = np.isfinite(scaled).all(axis=2)
    return np.concatenate(
        [np.nan_to_num(scaled).clip(-4, 4).reshape(len(flat), 26, WINDOW), mask.astype(float)], axis=1
    ).astype(np.float32)


def network_votes(
    train: Sequence[Windows], test: Sequence[Windows], *, epochs: int, seed: int, quiet_share: float
) -> dict[int, Array]:
    """Three convolutions over time, 24 to 48 channels, mirrored half of the time (about 20,000 weights)."""
    import torch
    from torch import nn

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    inputs, labels = [], []
    for one in train:
        known = np.isfinite(one.label) & np.isfinite(one.grid.height_px)
        speed = np.nan_to_num(one.table.values[:, one.table.names.index("hip_fall_speed_h_s")])
        keep = known & ((one.label == 1) | (rng.random(len(known)) < np.where(speed > 0.4, 0.4, quiet_share / 2)))
        if keep.any():
            inputs.append(network_input(one, np.flatnonzero(keep)))
            labels.append(one.label[keep])
    x = torch.from_numpy(np.concatenate(inputs))
    y = torch.from_numpy(np.concatenate(labels).astype(np.float32))
    net = nn.Sequential(
        nn.Conv1d(39, 24, 5, padding=2), nn.BatchNorm1d(24), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(24, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(32, 48, 5, padding=2), nn.BatchNorm1d(48), nn.ReLU(),
        nn.AdaptiveAvgPool1d(3), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
    loss_of = nn.BCEWithLogitsLoss(pos_weight=(y == 0).sum() / (y == 1).sum().clamp(min=1))
    mirror = [2 * index for index in _mirrored()]
    order = [place for first in mirror for place in (first, first + 1)] + [26 + index for index in _mirrored()]
    sign = torch.tensor([-1.0, 1.0] * 13 + [1.0] * 13)[None, :, None]
    for _ in range(epochs):
        net.train()
        for some in torch.randperm(len(x)).split(256):
            if len(some) < 2:
                continue
            batch = x[some]
            if torch.rand(()) < 0.5:
                batch = batch[:, order] * sign
            optimizer.zero_grad()
            loss_of(net(batch)[:, 0], y[some]).backward()
            optimizer.step()
    net.eval()
    votes = {}
    with torch.no_grad():
        for one in test:
            result = np.zeros(len(one.grid))
            rows = np.flatnonzero(np.isfinite(one.grid.height_px))
            if len(rows):
                result[rows] = torch.sigmoid(net(torch.from_numpy(network_input(one, rows)))[:, 0]).numpy()
            votes[id(one)] = result
    return votes


def _mirrored() -> list[int]:
    return list(KINECT_13.mirror_order)
