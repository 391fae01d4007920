"""Means, bootstrap intervals and the comparison with the controls, and the controls themselves."""

import math

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.evaluation import controls, leaderboard, map_files
from cnnexplain.rendering import score_text

GRAY = cx.Preprocess(4, 5, "gray", scale=1 / 255)


def test_the_bootstrap_interval_is_that_of_the_mean(random):
    """For many normal numbers, the interval is the mean ± 1.96 standard errors."""
    values = random.normal(3, 2, (400, 2))
    means, low, high = leaderboard.intervals(values, 0)
    np.testing.assert_allclose(means, values.mean(axis=0))
    error = 1.96 * values.std(axis=0) / 20
    np.testing.assert_allclose(means - low, error, rtol=0.1)
    np.testing.assert_allclose(high - means, error, rtol=0.1)
    np.testing.assert_array_equal(leaderboard.intervals(values, 0)[1], low)


def test_images_without_a_score_are_left_out(random):
    values = random.normal(size=(30, 3))
    values[10:, 1] = np.nan
    values[:, 2] = np.nan
    means, low, _ = leaderboard.intervals(values, 0)
    assert means[1] == pytest.approx(values[:10, 1].mean())
    assert np.isfinite(low[:2]).all()
    assert math.isnan(means[2])
    assert math.isnan(low[2])
    assert math.isnan(leaderboard.intervals(values[:12, [1]][2:], 0)[1][0])


def test_a_method_beats_a_control_if_the_difference_image_by_image_is_clear(random):
    """The methods vary far more between images than from one another."""
    difficulty = random.normal(0, 10, (50, 1))
    noise = random.normal(0, 0.1, (50, 3))
    scores = difficulty + noise + np.array([1, 0, 0.01])
    found = leaderboard.standings(["good", "bad", "chance"], ["analysis", "file", "control"], scores, "higher", 0)
    assert [each.method for each in found] == ["good", "chance", "bad"]
    by_name = {each.method: each for each in found}
    assert by_name["good"].unbeaten == ()
    assert by_name["bad"].unbeaten == ("chance",)
    assert by_name["chance"].unbeaten == ()
    # Alone, the intervals of all three overlap.
    assert by_name["good"].interval[0] < by_name["chance"].interval[1]
    lower = leaderboard.standings(["good", "bad", "chance"], ["analysis", "file", "control"], -scores, "lower", 0)
    assert [each.method for each in lower] == [each.method for each in found]
    assert [each.unbeaten for each in lower] == [each.unbeaten for each in found]
    neither = leaderboard.standings(["good", "bad", "chance"], ["analysis", "file", "control"], scores, "neither", 0)
    assert all(each.unbeaten == () for each in neither)


def test_strata_are_sampled_separately(random):
    """Networks that differ, but whose images don't, have a mean without an interval: a point."""
    values = np.repeat([0.1, 0.5, 0.2, 0.9, 0.4], 4)[:, None]
    means, low, high = leaderboard.intervals(values, 0, [4] * 5)
    np.testing.assert_allclose([low[0], high[0]], means[0], rtol=1e-12)
    _, low, high = leaderboard.intervals(values, 0)
    assert low[0] < means[0] - 0.05 < means[0] + 0.05 < high[0]
    # The variance of the mean of five means of 40 images is that of the images within the strata.
    values = np.repeat([0.0, 50.0, 90.0, 20.0, 30.0], 40)[:, None] + random.normal(0, 2, (200, 1))
    _, low, high = leaderboard.intervals(values, 0, [40] * 5)
    assert (high - low)[0] / 2 == pytest.approx(1.96 * 2 / math.sqrt(200), rel=0.15)


def test_a_control_without_a_score_is_neither_beaten_nor_unbeaten():
    scores = np.array([[2.0, 1.0, np.nan, 3.0]] * 12)
    kinds = ["analysis", "control", "control", "control"]
    for count in (12, 3):
        found = leaderboard.standings(["good", "low", "none", "high"], kinds, scores[:count], "higher", 0)
        by_name = {each.method: each for each in found}
        assert (by_name["good"].beaten, by_name["good"].unbeaten) == (("low",), ("high",))
        assert all(by_name[name].beaten == by_name[name].unbeaten == () for name in ("low", "none", "high"))


def test_few_images_have_means_but_no_interval():
    scores = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 2.5]])
    method, control = leaderboard.standings(["method", "control"], ["analysis", "control"], scores, "higher", 0)
    assert (method.mean, method.interval, method.images, method.unbeaten) == (2.0, None, 3, ())
    assert control.mean == pytest.approx(5.5 / 3)


def test_a_method_without_a_score_is_last():
    scores = np.array([[np.nan, 2.0], [np.nan, 1.0]])
    control, method = leaderboard.standings(["method", "control"], ["analysis", "control"], scores, "lower", 0)
    assert control.method == "control"
    assert (method.images, method.interval) == (0, None)


def test_sobel_finds_a_vertical_edge_by_hand():
    image = np.zeros((4, 5, 1), np.float32)
    image[:, 3:] = 0.5
    expected = np.zeros((4, 5))
    expected[:, 2:4] = 4 * 0.5
    np.testing.assert_allclose(controls.sobel(image, GRAY), expected)
    np.testing.assert_allclose(controls.sobel(image.transpose(1, 0, 2), GRAY), expected.T)


def test_the_other_controls_by_hand(random):
    image = random.uniform(size=(4, 5, 1)).astype(np.float32)
    gaussian = controls.centered_gaussian(image, GRAY)
    assert np.argmax(gaussian[:, 2]) in (1, 2)
    assert gaussian[0, 2] / gaussian[1, 2] == pytest.approx(math.exp(-(1.5**2 - 0.5**2) / 2))
    np.testing.assert_allclose(controls.distance_to_black(image, GRAY), image[..., 0], rtol=1e-6)
    first = controls.random_map(image, GRAY, 0)
    np.testing.assert_array_equal(first, controls.random_map(image.copy(), GRAY, 0))
    assert not np.array_equal(first, controls.random_map(image + 1e-3, GRAY, 0))
    assert not np.array_equal(first, controls.random_map(image, GRAY, 1))


def test_maps_are_read_from_files(tmp_path, random):
    maps = random.normal(size=(3, 4, 5))
    np.save(tmp_path / "maps.npy", maps.astype(np.float32))
    np.savez(tmp_path / "maps.npz", lime=maps, other=maps + 1)
    np.testing.assert_allclose(map_files.maps("lime", tmp_path / "maps.npy", 3, (4, 5)), maps, rtol=1e-6)
    np.testing.assert_array_equal(map_files.maps("other", str(tmp_path / "maps.npz"), 3, (4, 5)), maps + 1)
    np.testing.assert_array_equal(map_files.maps("x", maps[..., None] > 0, 3, (4, 5)), maps > 0)
    assert map_files.parse([f"a=b={tmp_path / 'maps.npy'}"]) == {"a=b": str(tmp_path / "maps.npy")}


def broken(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "maps.txt").write_text("1")
    np.savez(tmp_path / "two.npz", a=np.zeros((3, 4, 5)), b=np.zeros((3, 4, 5)))
    missing = np.zeros((3, 4, 5))
    missing[1, 2, 3] = np.nan
    return {
        "another size": (np.zeros((3, 5, 4)), r"shape \(3, 5, 4\); expected \(3, 4, 5\): a map of the size of the model's"),
        "fewer maps": (np.zeros((2, 4, 5)), r"shape \(2, 4, 5\); expected \(3, 4, 5\)"),
        "colors": (np.zeros((3, 4, 5, 3)), "Sum color channels"),
        "NaN": (missing, r"Map 1 of 'lime' contains a value that is not finite \(NaN or infinity\)"),
        "complex": (missing.astype(complex), "are complex128; expected real numbers"),
        "no array": (tmp_path / "text.npy", "does not contain an array of numbers"),
        "another format": (tmp_path / "maps.txt", "expected a .npy or .npz file"),
        "no file": (tmp_path / "map.npy", "There is no file of maps 'lime'"),
        "two arrays": (tmp_path / "two.npz", "contains 2 arrays, but none is called 'lime': a, b"),
    }


@pytest.mark.parametrize(
    "kind",
    ["another size", "fewer maps", "colors", "NaN", "complex", "no array", "another format", "no file", "two arrays"],
)
def test_maps_that_do_not_fit_are_refused(kind, tmp_path):
    given, words = broken(tmp_path)[kind]
    with pytest.raises(UsageError, match=words):
        map_files.maps("lime", given, 3, (4, 5))


def test_arguments_of_maps_are_checked(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(UsageError, match=r"takes NAME=FILE, such as lime=lime\.npy, but got 'a\.npy'"):
        map_files.parse(["a.npy"])
    with pytest.raises(UsageError, match="two files for 'a'"):
        map_files.parse([f"a={tmp_path}/a.npy"] * 2)


def test_the_rule_is_that_of_the_images_with_both_scores():
    """The number of images, and both rules where they differ between methods."""
    assert "excludes 0." in leaderboard.rule(10, 100)
    assert "excludes 0; with fewer than 10 images, if its mean is better." in leaderboard.rule(9, 100)
    assert leaderboard.rule(9, 9).startswith("Fewer than 10 images give no interval")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.1234, "−0.123"),
        (999.9, "999.900"),
        (12345.678, "12346"),
        (-1234567.0, "−1.235e+06"),
        (0.000123, "0.000123"),
        (-1.23456e-7, "−1.235e−07"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_scores_are_written_with_their_significant_digits(value, text):
    assert score_text.number(value) == text
