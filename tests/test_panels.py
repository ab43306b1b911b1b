"""Figures of several panels show what they are given."""

import io

import numpy as np
import pytest

from cifarlab import panels, plots

NAMES = ("a $b_{$", "cat", "dog")  # `$` must not be read as mathematics
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
HEAT = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


def words(figure) -> str:
    buffer = io.BytesIO()
    plots.save_figure(figure, buffer, format="svg")
    return buffer.getvalue().decode()


def test_robustness_has_a_panel_a_kind_and_a_line_a_corruption() -> None:
    accuracies = {"noise": {"shot_noise": [0.8, 0.3]}, "blur": {"a $x_{$": [0.9, 0.7], "b": [1, 0]}}
    figure = panels.robustness_curves(accuracies, (1, 5), clean=0.93)
    noise, blur = figure.axes
    assert (noise.get_title(), blur.get_title()) == ("noise", "blur")
    clean, shot = noise.lines
    assert clean.get_ydata()[0] == 0.93
    assert (clean.get_label(), shot.get_label()) == ("clean", "shot noise")
    assert shot.get_xydata().tolist() == [[1, 0.8], [5, 0.3]]
    assert [line.get_label() for line in blur.lines] == ["clean", "a $x {$", "b"]
    looks = {(line.get_color(), line.get_linestyle()) for line in blur.lines}
    assert len(looks) == 3
    assert "shot noise" in words(figure)


def test_known_scores_are_an_area_a_line_a_set_and_the_threshold() -> None:
    sets = {"a $b_{$": [0.5, 0.5], "_own": [1.0, 0.0]}
    (axes,) = panels.known_scores([0, 1, 2], [0.25, 0.75], sets, 0.4, "energy").axes
    known, *others = [patch.get_data() for patch in axes.patches]
    assert known.values.tolist() == [0.25, 0.75]
    assert [other.values.tolist() for other in others] == list(sets.values())
    assert [line.get_xdata()[0] for line in axes.lines] == [0.4]
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(shown) == ["a $b_{$", "images of the classes", "own", "threshold"]


def explained(activation=HEAT, occlusion=HEAT / 4, views=1):
    probabilities = dict(zip(NAMES, (0.9, 0.1, 0.0), strict=True))
    view = (PIXELS, activation, occlusion)
    return panels.explanation(
        PIXELS.repeat(20, 0),
        [view] * views,
        ["cut out", "stretched"][:views],
        probabilities,
        "none",
    )


def test_an_explanation_shows_pictures_maps_and_every_probability() -> None:
    figure = explained()
    picture, seen, features, covered, bars = figure.axes
    assert picture.images[0].get_array().shape == (160, 8, 3)
    np.testing.assert_array_equal(seen.images[0].get_array(), PIXELS)
    for axes, heat in ((features, HEAT), (covered, HEAT / 4)):
        under, over = (image.get_array() for image in axes.images)
        assert np.ptp(np.asarray(under), axis=-1).max() == 0  # grey, so that colours are the map's
        np.testing.assert_array_equal(over, heat)
    assert covered.images[1].get_clim() == (-0.25, 0.25)  # no effect is the middle: clear
    assert [bar.get_width() for bar in bars.patches] == [0.9, 0.1, 0]
    text = words(figure)
    assert "features that say a $b_{$" in text
    assert "costs up to 25 points" in text
    assert "90.0 %" in text


def test_an_explanation_without_feature_maps_leaves_their_panel_out() -> None:
    assert len(explained(activation=None).axes) == 4


def test_an_explanation_has_a_row_for_each_view_and_says_how_it_was_made() -> None:
    figure = explained(views=2)
    assert len(figure.axes) == 10
    assert len([axes for axes in figure.axes if axes.images]) == 1 + 2 * 3
    text = words(figure)
    assert "cut out" in text
    assert "stretched" in text
    assert "none" in text


@pytest.mark.parametrize(("occlusion", "said"), [(-HEAT / 2, "adds up to 50"), (0 * HEAT, "to 0")])
def test_the_title_tells_the_largest_effect(occlusion, said) -> None:
    assert said in words(explained(occlusion=occlusion))


def test_reliability_shows_what_is_right_and_how_many_there_are() -> None:
    edges = np.array([[0.4, 0.5], [0.9, 1.0]])
    share, confidence, accuracy = np.array([[0.25, 0.75], [0.45, 0.95], [0.3, 0.9]])
    figure = panels.reliability_diagram(edges, share, confidence, accuracy)
    above, below = figure.axes
    diagonal, line = above.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().tolist() == [[0.45, 0.3], [0.95, 0.9]]
    (dots,) = above.collections
    assert dots.get_sizes()[1] > dots.get_sizes()[0] > 0
    bars = [(bar.get_x(), round(bar.get_width(), 9), bar.get_height()) for bar in below.patches]
    assert bars == [(0.4, 0.1, 0.25), (0.9, 0.1, 0.75)]


def test_risk_and_coverage_have_their_thresholds_marked() -> None:
    curve = np.array([0.5, 1.0]), np.array([0.0, 0.2])
    (axes,) = panels.risk_coverage(*curve, {"95 %": (0.75, 0.05)}).axes
    line, mark = axes.lines
    assert line.get_xydata().tolist() == [[0.5, 0.0], [1.0, 0.2]]
    assert mark.get_xydata().tolist() == [[0.75, 0.05]]
    assert [text.get_text() for text in axes.texts] == ["95 %"]


def test_a_ladder_shows_each_rung_with_its_interval_and_its_cost() -> None:
    names, means, seconds = ["first", "a $x_{$"], [0.7, 0.8], [60.0, 300.0]
    figure = panels.ladder_steps(names, means, [(0.69, 0.72), (0.79, 0.81)], seconds)
    steps, costs = figure.axes
    assert [label.get_text() for label in steps.get_yticklabels()] == ["first  1", "a $x_{$  2"]
    (reach,) = steps.containers[0].lines[2]
    ends = [segment[:, 0].tolist() for segment in reach.get_segments()]
    assert np.allclose(ends, [[0.69, 0.72], [0.79, 0.81]])
    assert costs.lines[0].get_xydata().tolist() == [[60.0, 0.7], [300.0, 0.8]]
    assert [text.get_text() for text in costs.texts] == ["1", "2"]
    assert steps.xaxis.get_major_formatter()(0.875) == "87.5 %"  # not 88: the line is at 87.5
    assert "a $x_{$" in words(figure)
