"""Predictions through Python and the command line; most with a model that only looks at colours."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab import predict as api
from cifarlab.bundled import bundled_path
from cifarlab.cli import main
from cifarlab.cli.sorting import sort_into
from cifarlab.data.decode import decode_image, fit_image
from cifarlab.data.find import find_images
from cifarlab.errors import CifarlabError, ImageError, ModelFileError, RunError, UnknownNameError
from cifarlab.predict import Prediction, Predictor, load_predictor
from cifarlab.run import Run
from fresh_process import modules_after

CLASSES = ("red", "green", "blue")


def colour_logits(images: np.ndarray) -> np.ndarray:
    """uint8 (N, S, S, 3) -> (N, 3): how much of each colour; grey pictures are a tie."""
    assert images.dtype == np.uint8
    return images.mean(axis=(1, 2)) / 16


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(CLASSES, 8, "crop", 0.5, colour_logits)


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder with a red, a green and a grey picture in folders, and things that are none."""
    folder = tmp_path / "photos"
    for name, colour in (
        ("b/red.png", (250, 0, 0)),
        ("a/green.JPG", (0, 250, 0)),
        ("grey.png", (90, 90, 90)),
        (".hidden.png", (0, 0, 250)),
        (".cache/hidden.png", (0, 0, 250)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 12), colour).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def cli(monkeypatch, capfd, predictor, tmp_path):
    """Run `cifarlab predict` on the colour model; gives (exit status, stdout, stderr)."""
    monkeypatch.setattr(api, "load_predictor", lambda model: predictor)
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["predict", *map(str, arguments)])
        output = capfd.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return run


# --- Predictor ---


def test_one_picture_whatever_it_comes_as(predictor, photos):
    path = photos / "b" / "red.png"
    pixels = decode_image(path)
    expected = np.exp([250 / 16, 0, 0])
    expected /= expected.sum()
    for source in (path, str(path), path.read_bytes(), Image.open(path), pixels):
        prediction = predictor(source)
        assert isinstance(prediction, Prediction)
        assert prediction.label == "red"
        assert prediction.known is True
        assert prediction.error is None
        assert tuple(prediction.probabilities) == CLASSES
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected, rtol=1e-6)
        assert prediction.probability == prediction.probabilities["red"]
    assert predictor(path).file == str(path)
    assert predictor(path.read_bytes()).file is None


def test_below_the_threshold_it_is_not_known(predictor, photos):
    prediction = predictor(photos / "grey.png")
    assert prediction.probability == pytest.approx(1 / 3)
    assert prediction.known is False
    assert dataclasses.replace(predictor, known_threshold=0.3)(photos / "grey.png").known is True


def test_without_a_threshold_every_picture_is_known(predictor, photos):
    assert dataclasses.replace(predictor, known_threshold=None)(photos / "grey.png").known is True


def test_energy_is_of_the_raw_logits(predictor, photos):
    """log(exp(250 / 16) + 2): the temperature, which makes the answer unsure, has no say."""
    red, exact = photos / "b" / "red.png", np.logaddexp.reduce([250 / 16, 0, 0])
    energetic = dataclasses.replace(predictor, known_score="energy", temperature=50.0)
    for threshold, known in ((exact - 1e-6, True), (exact + 1e-6, False)):
        assert dataclasses.replace(energetic, known_threshold=threshold)(red).known is known


def test_probabilities_are_calibrated(predictor, photos):
    warm = dataclasses.replace(predictor, temperature=20.0)
    expected = np.exp([250 / 16 / 20, 0, 0])
    found = list(warm(photos / "b" / "red.png").probabilities.values())
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_many_come_back_in_order_over_batches(predictor):
    """150 pictures of three colours: more than two batches, each answer with its own picture."""
    pictures = [np.full((9, 9, 3), np.eye(3, dtype=np.uint8)[n % 3] * 200) for n in range(150)]
    predictions = predictor(pictures)
    assert [p.label for p in predictions] == [CLASSES[n % 3] for n in range(150)]
    assert [p.label for p in predictor(tuple(pictures[:2]))] == ["red", "green"]
    assert predictor([]) == []


def test_a_batch_is_read_only_when_it_is_wanted(predictor):
    read = []

    def pictures():
        for n in range(1000):
            read.append(n)
            yield np.zeros((8, 8, 3), np.uint8)

    next(predictor.stream(pictures()))
    assert len(read) == api.BATCH_SIZE


def test_one_unreadable_among_many_does_not_stop_them(predictor, photos):
    red, absent = photos / "b" / "red.png", photos / "absent.png"
    first, second, third, fourth = predictor([red, absent, b"junk", red])
    assert first.label == fourth.label == "red"
    assert second.file == str(absent)
    assert second.error == f"cannot read {absent}: there is no such file; check the path"
    assert third.error.startswith("cannot read image 3: it is not a JPEG")
    for failed in (second, third):
        assert (failed.label, failed.probability, failed.probabilities, failed.known) == (None,) * 4
    assert [p.error is None for p in predictor([b"junk", b""])] == [False, False]


def test_one_unreadable_alone_raises(predictor):
    with pytest.raises(ImageError, match="cannot read image: it is empty"):
        predictor(b"")


def test_the_model_sees_the_fitted_picture(predictor, photos):
    path = photos / "a" / "green.JPG"
    seen = []

    def logits(images):
        seen.append(images)
        return colour_logits(images)

    for fit in ("crop", "stretch", "pad"):
        one = dataclasses.replace(predictor, fit=fit, logits=logits)
        one(path)
        np.testing.assert_array_equal(seen[-1][0], fit_image(decode_image(path), 8, fit))
        np.testing.assert_array_equal(seen[-1][0], one.model_view(path))


def test_probabilities_and_scores_are_means_over_the_views(predictor):
    """A picture green but for its red middle: the crop is red, the stretched view mostly green."""
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[..., 1] = 200
    pixels[:, 15:25] = (200, 0, 0)
    both = dataclasses.replace(predictor, fit="photo", known_score="energy")
    views = both.model_views(pixels)
    singles = [dataclasses.replace(both, fit=fit) for fit in ("crop", "stretch")]
    for view, single in zip(views, singles, strict=True):
        np.testing.assert_array_equal(view, single.model_view(pixels))
    answers = [single(pixels) for single in singles]
    assert [answer.label for answer in answers] == ["red", "green"]
    rows = [list(answer.probabilities.values()) for answer in answers]
    found = both([np.zeros((9, 9, 3), np.uint8), pixels])[1]  # its rows are not its neighbour's
    np.testing.assert_allclose(list(found.probabilities.values()), np.mean(rows, axis=0))
    score = np.logaddexp.reduce(colour_logits(views), axis=1).mean()
    for threshold, known in ((score - 1e-6, True), (score + 1e-6, False)):
        assert dataclasses.replace(both, known_threshold=threshold)(pixels).known is known


def test_logits_that_are_no_numbers_are_an_error(predictor):
    broken = dataclasses.replace(predictor, logits=lambda images: np.full((len(images), 3), np.nan))
    with pytest.raises(CifarlabError):
        broken(np.zeros((8, 8, 3), np.uint8))


def test_a_predictor_cannot_be_changed(predictor):
    with pytest.raises(dataclasses.FrozenInstanceError):
        predictor.fit = "pad"


def test_prediction_top_and_json(predictor, photos):
    prediction = predictor(np.full((4, 4, 3), [10, 99, 50], np.uint8))
    assert [name for name, _ in prediction.top(2)] == ["green", "blue"]
    keys = ["file", "label", "probability", "probabilities", "known", "error"]
    assert list(prediction.to_json()) == keys
    failed = predictor([b""])[0].to_json()
    assert [key for key in keys if failed[key] is not None] == ["error"]
    assert json.loads(json.dumps(prediction.to_json())) == prediction.to_json()


# --- find_images ---


def test_files_folders_and_patterns(photos):
    green, red, grey = photos / "a" / "green.JPG", photos / "b" / "red.png", photos / "grey.png"
    assert find_images([photos]) == [green, red, grey]
    assert find_images([grey, photos / "b", "absent"]) == [grey, red, Path("absent")]
    assert find_images([str(photos / "**" / "*.png")]) == [red, grey]
    assert find_images([str(photos / "[ab]"), f"{photos}/[ab]/**"]) == [green, red] * 2
    assert find_images([photos / "notes.txt"]) == [photos / "notes.txt"]  # named, so tried


def test_a_file_whose_name_looks_like_a_pattern_is_itself(photos):
    odd = photos / "cat[1].png"
    shutil.copy(photos / "grey.png", odd)
    assert find_images([odd]) == [odd]


def test_a_folder_or_pattern_without_images_is_an_error(tmp_path):
    with pytest.raises(ImageError, match=r"there is no image in .*looked for .*jpg"):
        find_images([tmp_path])
    with pytest.raises(ImageError, match=r"no file matches .*\*.png"):
        find_images([tmp_path / "*.png"])


def test_predict_files_takes_what_find_images_takes(predictor, photos):
    labels = [(Path(p.file).name, p.label, p.known) for p in predictor.predict_files([photos])]
    assert labels == [
        ("green.JPG", "green", True),
        ("red.png", "red", True),
        ("grey.png", "red", False),
    ]


# --- runs ---


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory) -> Path:
    """A run of the recipe `debug` on four classes of tiny pictures."""
    import cifarlab

    out = tmp_path_factory.mktemp("trained") / "runs" / "debug-1"
    return cifarlab.train(tiny_folder, "debug", out=out).path


def test_a_trained_run_predicts_what_its_model_gives(trained, tiny_folder):
    files = sorted((tiny_folder / "test").rglob("*.png"))
    run = Run(trained)
    predictor = load_predictor(trained)
    assert predictor.class_names == tuple(run.data["class_names"])
    assert predictor.known_threshold == run.result["known_threshold"]
    views = np.stack([predictor.model_view(file) for file in files])
    size = run.data["image_size"]
    assert views.shape == (32, size, size, 3)
    logits = np.asarray(run.load_model()(views.astype("float32"), training=False))
    assert predictor.temperature == run.calibration("none")["temperature"] != 1
    logits = logits / predictor.temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    several = load_predictor(run)(files)
    got = [list(p.probabilities.values()) for p in several]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert [p.label for p in several] == [predictor.class_names[n] for n in expected.argmax(axis=1)]
    alone = predictor(files[5])
    assert alone.label == several[5].label
    np.testing.assert_allclose(list(alone.probabilities.values()), got[5], atol=1e-5)


def test_odd_images_give_a_prediction_or_a_reason(real_data):
    predictions = list(load_predictor("cifar10").predict_files([real_data / "odd-images"]))
    assert len(predictions) > 150
    for p in predictions:
        assert (p.error is None) != (p.probabilities is None)
        if p.probabilities:
            assert sum(p.probabilities.values()) == pytest.approx(1)


def test_a_model_and_classes_of_two_runs_are_not_mixed(trained, tmp_path):
    mixed = shutil.copytree(trained, tmp_path / "mixed")
    data = json.loads((mixed / "data.json").read_text())
    (mixed / "data.json").write_text(json.dumps({**data, "class_names": ["cat", "dog"]}))
    with pytest.raises(RunError, match=r"4 logits but data.json names 2 classes"):
        load_predictor(mixed)
    del data["class_names"]
    (mixed / "data.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match=r"damaged.*class_names"):
        load_predictor(mixed)


def test_only_powers_of_two_reach_keras(trained, monkeypatch):
    """Some backends compile a model anew for each number of images that it is given."""
    from cifarlab import engine

    sizes = set()

    def forward(model):
        def call(images):
            sizes.add(len(images))
            return np.zeros((len(images), 4))

        return call

    monkeypatch.setattr(engine, "forward", forward)
    predictor = load_predictor(trained)
    for count in range(1, 70):
        assert len(predictor([np.zeros((8, 8, 3), np.uint8)] * count)) == count
    assert sizes == {1, 2, 4, 8, 16, 32, 64}


def test_a_model_is_a_path_first_and_then_a_name(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_predictor("cifar10").class_names[0] == "airplane"
    assert load_predictor().class_names == load_predictor("cifar10").class_names
    shutil.copytree(trained, "cifar10")
    assert load_predictor("cifar10").class_names == tuple(Run(trained).data["class_names"])


def test_a_name_that_nothing_has_is_told_the_nearest(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.parent.parent)
    with pytest.raises(UnknownNameError, match="unknown model 'cifr10'; did you mean 'cifar10'"):
        load_predictor("cifr10")
    with pytest.raises(UnknownNameError, match=r"did you mean '.*debug-1'"):
        load_predictor("debug-1")
    with pytest.raises(UnknownNameError, match="absent"):
        load_predictor(tmp_path / "absent")
    with pytest.raises(RunError, match="is not a run folder"):
        load_predictor(tmp_path)
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"\.h5 file can run code"):
        load_predictor(tmp_path / "weights.h5")


def test_a_file_and_its_name_answer_alike(photos):
    by_name, by_path = (load_predictor(model) for model in ("cifar10", bundled_path("cifar10")))
    assert by_name.network is None
    pictures = [photos / "b" / "red.png", photos / "grey.png"]
    assert by_name(pictures) == by_path(pictures)


def test_the_bundled_model_needs_no_framework(photos):
    modules = modules_after("predict", str(photos / "b" / "red.png"))
    loaded = {name.partition(".")[0] for name in modules}
    assert "onnxruntime" in loaded
    assert not loaded & {"keras", "tensorflow", "jax", "matplotlib", "sklearn", "scipy"}
    assert "cifarlab.data.download" not in modules  # nor what looks for datasets


# --- the command ---


def test_the_table(cli, photos):
    status, out, err = cli(photos.name, "--model", "any", "--top", 2)
    assert (status, err) == (0, "")
    assert out.index("green.JPG") < out.index("red.png") < out.index("grey.png")
    assert "100.0%" in out
    assert "green █████████████" in out
    assert out.count("33.3%") == 3  # the probability of the grey picture and its two bars
    assert "probably" in out
    assert "classes" in out
    assert "--explain" in out.splitlines()[-1]


def test_a_trained_run_explains_by_its_feature_maps(cli, trained, photos, monkeypatch, tmp_path):
    image = photos / "b" / "red.png"
    assert cli(image, "--model", "any", "--explain", tmp_path / "without")[0] == 0
    monkeypatch.undo()  # the colour model of `cli`
    assert cli(image, "--model", trained, "--explain", tmp_path / "with")[0] == 0
    without, found = (Image.open(tmp_path / name / "red.png") for name in ("without", "with"))
    assert found.size[0] > without.size[0] + 200  # one picture more


def test_json_is_one_line_an_image_and_nothing_else(cli, photos):
    status, out, err = cli(photos, photos / "absent.png", "--model", "any", "--json")
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["label"] for line in lines] == ["green", "red", "red", None]
    assert "no such file" in lines[-1]["error"]
    assert err.splitlines()[-1].startswith("error: 1 of 4 images cannot be read")


def test_unreadable_images_fail_the_command_after_the_others(cli, photos):
    status, out, err = cli(photos.name, "absent1.png", "absent2.png", "--model", "any")
    assert status == 1
    assert "green.JPG" in out
    assert err == "error: 2 of 5 images cannot be read; the reasons are above\n"
    assert out.count("cannot read absent") == 2


def test_a_single_unreadable_image_is_one_line(cli, photos):
    status, out, err = cli(photos / "notes.txt", "--model", "any")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: cannot read {photos / 'notes.txt'}: it is not a JPEG")
    assert err.count("\n") == 1


def test_csv(cli, photos, tmp_path):
    status, _, _ = cli(photos, "absent.png", "--model", "any", "--csv", tmp_path / "out" / "p.csv")
    assert status == 1  # and the file is there all the same
    with open(tmp_path / "out" / "p.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", "probability", "known", "error", *CLASSES]
    assert [row["label"] for row in rows] == ["green", "red", "red", ""]
    assert [row["known"] for row in rows] == ["True", "True", "False", ""]
    assert float(rows[1]["red"]) == float(rows[1]["probability"]) > 0.99
    assert "no such file" in rows[3]["error"]


def test_explain_draws_each_picture_and_overwrites_none(cli, photos, tmp_path):
    shutil.copy(photos / "b" / "red.png", photos / "red.png")
    precious = tmp_path / "drawn" / "grey.png"
    precious.parent.mkdir()
    precious.write_bytes(b"mine")
    assert cli(photos, "--model", "any", "--explain", precious.parent)[0] == 0
    names = sorted(path.name for path in precious.parent.iterdir())
    assert names == ["green.png", "grey-2.png", "grey.png", "red-2.png", "red.png"]
    assert precious.read_bytes() == b"mine"
    assert Image.open(precious.parent / "red.png").size[0] > 400


def test_sort_into_copies_and_overwrites_nothing(cli, photos, tmp_path):
    other = photos / "red.png"
    Image.new("RGB", (5, 5), (200, 0, 0)).save(other)
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    for _ in range(2):  # the second time everything is there already
        assert cli(photos, "--model", "any", "--sort-into", tmp_path / "sorted")[0] == 0
        copies = sorted((tmp_path / "sorted").rglob("*.*"))
        names = [path.relative_to(tmp_path / "sorted").as_posix() for path in copies]
        assert names == ["green/green.JPG", "red/red-2.png", "red/red.png", "unknown/grey.png"]
    assert {path.read_bytes() for path in (tmp_path / "sorted" / "red").iterdir()} == {
        before[other],
        before[photos / "b" / "red.png"],
    }
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("label", ["unknown", "Unknown", " unknown "])
def test_a_class_called_unknown_has_a_folder_of_its_own(tmp_path, label):
    picture = Prediction("a.png", label, 0.9, {label: 0.9})
    for known, folder in ((True, label.strip() + "_"), (False, "unknown")):
        path = sort_into(tmp_path, b"picture", dataclasses.replace(picture, known=known))
        assert path.parent.name == folder


def test_classes_that_no_folder_can_be_called_after_are_kept_apart(tmp_path):
    sizes = {"<5": 0.3, "_5": 0.3, ">5": 0.4}
    for label in sizes:
        sort_into(tmp_path, b"picture", Prediction(None, label, sizes[label], sizes, known=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_5", "_5-2", "_5-3"]


def test_sort_into_links(cli, photos, tmp_path):
    for _ in range(2):
        assert cli(photos, "--model", "any", "--sort-into", tmp_path / "sorted", "--link")[0] == 0
    links = sorted((tmp_path / "sorted").rglob("*.*"))
    assert [path.name for path in links] == ["green.JPG", "red.png", "grey.png"]
    assert all(path.is_symlink() for path in links)
    assert links[1].resolve() == (photos / "b" / "red.png").resolve()


def test_links_to_nowhere_are_refused(cli, photos):
    status, out, err = cli(photos, "--model", "any", "--link")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--sort-into DIR" in err


def test_one_image_on_standard_input(cli, photos, tmp_path, monkeypatch):
    content = (photos / "b" / "red.png").read_bytes()

    def piped(*arguments):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        return cli("-", "--model", "any", *arguments)

    status, out, _ = piped("--json", "--explain", tmp_path / "why", "--sort-into", tmp_path)
    assert status == 0
    assert {"file": "-", "label": "red"}.items() <= json.loads(out).items()
    assert Image.open(tmp_path / "why" / "stdin.png").size[0] > 400
    assert (tmp_path / "red" / "stdin").read_bytes() == content
    status, out, _ = piped(photos / "grey.png", "--json")
    assert [json.loads(line)["file"] for line in out.splitlines()] == [
        "-",
        str(photos / "grey.png"),
    ]
    assert piped("-")[0] == 1
    monkeypatch.setattr("sys.stdin", None)
    status, out, err = cli("-", "--model", "any")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "standard input is closed" in err


def test_pictures_are_drawn_in_a_terminal_that_can_show_them(cli, photos, monkeypatch):
    from rich.console import Console

    from cifarlab.cli import console

    red = photos / "b" / "red.png"
    assert "▀" not in cli(red, "--model", "any")[1]  # a pipe
    for system, arguments, drawn in (
        ("truecolor", [], True),
        ("truecolor", ["--no-pictures"], False),
        ("256", [], False),
    ):
        terminal = Console(force_terminal=True, color_system=system, width=120)
        monkeypatch.setattr(console, "out", terminal)
        status, out, _ = cli(red, "--model", "any", *arguments)
        assert status == 0
        assert ("▀" in out) is drawn
        assert ("\x1b[38;2;250;0;0;48;2;250;0;0m▀" in out) is drawn


def test_a_photograph_is_explained_without_keras(photos, tmp_path, monkeypatch, capsys):
    """Four views, each with its caption; an exported model has no feature maps to show."""
    Image.new("RGB", (200, 150), (90, 120, 200)).save(photos / "sky.png")
    monkeypatch.setitem(sys.modules, "cifarlab.explain", None)  # it loads Keras
    with pytest.raises(SystemExit) as end:
        main(["predict", str(photos / "sky.png"), "--explain", str(tmp_path / "why")])
    assert not end.value.code
    width, height = Image.open(tmp_path / "why" / "sky.png").size
    assert height > width


def test_a_label_cannot_lead_out_of_the_folder(cli, predictor, photos, tmp_path, monkeypatch):
    names = ("../../escape", "a/b", "..")
    evil = dataclasses.replace(predictor, class_names=names)
    monkeypatch.setattr(api, "load_predictor", lambda model: evil)
    blue = photos / "blue.png"
    Image.new("RGB", (5, 5), (0, 0, 200)).save(blue)
    into = tmp_path / "deep" / "deeper" / "sorted"
    assert cli(photos, "--model", "any", "--sort-into", into)[0] == 0
    copies = [
        path for path in tmp_path.rglob("*.*") if path.is_file() and photos not in path.parents
    ]
    assert len(copies) == 4
    assert all(path.parent.parent == into for path in copies)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_file_names_that_are_no_text(cli, photos, tmp_path):
    odd = [os.fsdecode(b"\xff [red].png"), "new\nline.png"]
    for name in odd:
        shutil.copy(photos / "grey.png", photos / "b" / name)
    arguments = (photos / "b", "--model", "any", "--csv", tmp_path / "p.csv")
    status, out, _ = cli(*arguments, "--json")
    assert status == 0
    assert {Path(json.loads(line)["file"]).name for line in out.splitlines()} == {"red.png", *odd}
    assert os.fsencode(odd[0]) in (tmp_path / "p.csv").read_bytes()
    status, out, _ = cli(*arguments)
    assert status == 0
    assert "[red].png" in out


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_terminal_obeys_no_name(cli, predictor, photos, monkeypatch):
    """Neither that of a file nor that of a class: both may come from anywhere."""
    evil = dataclasses.replace(predictor, class_names=("re\x1b[2Jd", "green", "blue"))
    monkeypatch.setattr(api, "load_predictor", lambda model: evil)
    shutil.copy(photos / "b" / "red.png", photos / "b" / "\x1b]0;title\x07.png")
    status, out, _ = cli(*(photos / "b").iterdir(), "--model", "any")  # as a shell's * gives them
    assert status == 0
    assert "\x1b" not in out
    assert r"re\x1b[2Jd" in out


def test_wrong_usage(cli, photos):
    assert cli(photos, "--top", 0)[0] == 2
    assert cli()[0] == 2
    status, _, err = cli(photos, "--modle", "any")
    assert status == 2
    assert "--model" in err
