import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from cifarlab import plots
from cifarlab.errors import CifarlabError

NAMES = ["cat", "a $b_{$", "<b>dog</b>"]  # `$` must not be read as mathematics
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 2, 8, 8, 3), dtype=np.uint8)


def epoch(number, **changes):
    row = {"epoch": number, "seconds": 1.0, "learning_rate": 0.1 / number, "loss": 1 / number}
    row |= {"accuracy": 1 - 0.5 / number, "val_loss": 2 / number, "val_accuracy": 1 - 0.6 / number}
    return row | changes


def drawn(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    plots.save_figure(figure, buffer, format="png", dpi=50)
    return np.asarray(Image.open(buffer).convert("RGB"))


def words(figure: Figure) -> str:
    buffer = io.BytesIO()
    plots.save_figure(figure, buffer, format="svg")
    return buffer.getvalue().decode()


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_learning_curves_draw_every_column_and_mark_the_kept_epoch():
    figure = plots.learning_curves([epoch(1), epoch(2), epoch(4)], best_epoch=2)
    loss, accuracy, rate = figure.axes
    assert lines(loss)["training"] == [[1, 1], [2, 0.5], [4, 0.25]]
    assert lines(loss)["validation"] == [[1, 2], [2, 1], [4, 0.5]]
    assert lines(accuracy)["validation"] == [[1, 0.4], [2, 0.7], [4, 0.85]]
    assert lines(accuracy)["weights kept"] == [[2, 0.7]]
    assert [y for _, y in rate.lines[0].get_xydata()] == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("absent", [{"val_loss": None, "val_accuracy": None}, "no such columns"])
def test_learning_curves_without_validation_show_training_alone(absent):
    rows = [epoch(1), epoch(2)]
    for row in rows:
        row.update(absent) if isinstance(absent, dict) else [
            row.pop("val_loss"),
            row.pop("val_accuracy"),
        ]
    _, accuracy, _ = plots.learning_curves(rows, best_epoch=2).axes
    assert set(lines(accuracy)) >= {"training", "weights kept"}
    assert "validation" not in lines(accuracy)
    assert lines(accuracy)["weights kept"] == [[2, 0.75]]


def test_a_missing_value_breaks_the_line_instead_of_moving_it():
    rows = [epoch(1), epoch(2, val_loss=None), epoch(3)]
    points = lines(plots.learning_curves(rows, panels=["loss"]).axes[0])["validation"]
    assert points[1][0] == 2
    assert np.isnan(points[1][1])


def test_one_panel_can_be_had_alone():
    (axes,) = plots.learning_curves([epoch(1)], panels=["learning_rate"], width=4).axes
    assert axes.get_ylabel() == "learning rate"


def test_curves_together_draw_a_line_for_each_run_by_name():
    figure = plots.curves_together(
        {"one": [epoch(1)], "two $_{$": [epoch(1), epoch(2)]}, "val_accuracy"
    )
    assert lines(figure.axes[0]) == {"one": [[1, 0.4]], "two $_{$": [[1, 0.4], [2, 0.7]]}
    assert "two $_{$" in words(figure)
    hidden = plots.curves_together({"_mine": [epoch(1)]}, "accuracy")
    assert "mine" in words(hidden)  # matplotlib keeps what begins with _ out of a legend


def test_confusion_shows_counts_shares_and_names():
    matrix = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])  # the last class is absent
    figure = plots.confusion(matrix, NAMES)
    (axes,) = figure.axes
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[0.8, 0.2, 0], [0, 0.5, 0.5], [0, 0, 0]])
    assert [text.get_text() for text in axes.texts] == list("820055000")
    assert [t.get_text() for t in axes.get_yticklabels()] == NAMES
    drawn(figure)


def test_confusion_of_many_classes_leaves_the_numbers_out():
    figure = plots.confusion(np.eye(60, dtype=int), [str(i) for i in range(60)])
    assert not figure.axes[0].texts
    assert max(figure.get_size_inches()) <= 14


def test_image_grid_keeps_order_pixels_and_verdicts():
    images = PIXELS.reshape(6, 8, 8, 3)[:5]
    figure = plots.image_grid(images, list("abcde"), columns=3, correct=[True, False] * 2 + [True])
    assert len(figure.axes) == 6
    for i, (axes, title) in enumerate(zip(figure.axes, "abcde", strict=False)):
        np.testing.assert_array_equal(axes.images[0].get_array(), images[i])
        assert axes.get_title() == f"{'✓✗'[i % 2]} {title}"
    assert not figure.axes[5].images


def test_image_grid_refuses_what_does_not_match():
    with pytest.raises(CifarlabError, match="2 images, 1 titles"):
        plots.image_grid(PIXELS[0], ["one"], columns=2)
    with pytest.raises(CifarlabError, match="0 images"):
        plots.image_grid(PIXELS[0][:0], [], columns=2)


def test_class_counts_draw_a_bar_of_the_right_length():
    figure = plots.class_counts({"train": [5, 3, 2], "test": [1, 1, 0]}, NAMES)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [5, 3, 2, 1, 1, 0]
    assert [t.get_text() for t in axes.get_yticklabels()] == NAMES
    drawn(figure)


def test_class_samples_name_each_row_once():
    figure = plots.class_samples(PIXELS, NAMES)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "cat",
        "",
        "a $b_{$",
        "",
        "<b>dog</b>",
        "",
    ]
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), PIXELS[1, 1])
    drawn(figure)


def test_brightness_histogram_draws_a_step_line_for_each_split():
    figure = plots.brightness_histogram({"train": [0.5, 0.5], "test": [0.1, 0.9]}, [0, 128, 255])
    assert [patch.get_label() for patch in figure.axes[0].patches] == ["train", "test"]
    drawn(figure)


def test_save_png_writes_whole_or_not_at_all(tmp_path):
    path = tmp_path / "plots" / "a.png"
    plots.save_png(plots.confusion([[1]], ["cat"]), path)
    assert Image.open(path).format == "PNG"
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]
    (tmp_path / "file").touch()
    with pytest.raises(CifarlabError, match="cannot write"):
        plots.save_png(plots.confusion([[1]], ["cat"]), tmp_path / "file" / "a.png")


def test_a_script_that_the_font_lacks_makes_no_noise(recwarn):
    drawn(plots.confusion([[1]], ["鳥"]))
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_long_names_leave_room_for_the_figure(tmp_path, recwarn):
    names = ["a" * 200 + "1", "a" * 200 + "2"]
    matrix = plots.confusion([[1, 0], [0, 1]], names)
    plots.save_png(matrix, tmp_path / "a.png")  # matplotlib warns where nothing is left
    assert not recwarn.list
    ticks = [label.get_text() for label in matrix.axes[0].get_yticklabels()]
    assert len(set(ticks)) == 2
    grid = plots.image_grid(np.zeros((1, 8, 8, 3), np.uint8), [f"{names[0]} 9 %\nis {names[1]}"], 8)
    first, second = grid.axes[0].get_title().split("\n")
    assert max(len(first), len(second)) == plots.LETTERS
    assert (first[-4:], second[-2:]) == (" 9 %", "a2")


def test_the_style_does_not_leak_into_other_peoples_plots():
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn(plots.confusion([[1]], ["cat"]))
    assert dict(matplotlib.rcParams) == before


def test_series_colours_are_distinct():
    assert len({to_hex(colour) for colour in plots.SERIES}) == len(plots.SERIES)
