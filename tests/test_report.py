import base64
import io
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cifarlab import files, metrics
from cifarlab.errors import CifarlabError, RunError, UsageError
from cifarlab.report import write_report
from cifarlab.report.embed import THEME
from cifarlab.run import Run

NAMES = ["cat", "dog", "frog"]
ENVIRONMENT = {
    "backend": "tensorflow",
    "threads": 2,
    "memory_bytes": 16 * 2**30,
    "versions": {"keras": "3.15.1"},
    "command": "cifarlab train cifar10",
}
VOID = {"meta", "link", "img", "br", "hr", "input"}
CHOOSE = " Choose a mistake to see its images."
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def epoch(number, **changes):
    row = {"epoch": number, "seconds": 1.5, "learning_rate": 0.1, "loss": 1 / number}
    row |= {"accuracy": 0.5 + number / 10, "val_loss": 1.1, "val_accuracy": 0.4 + number / 10}
    return row | changes


def make_run(folder, *, names=NAMES, epochs=3, completed=True, seed=0, recipe=(), data=()):
    """A run folder as `train` leaves it, without a training."""
    run = Run.create(
        folder,
        recipe={"name": "debug", "summary": "Small.", "model": "tiny", "epochs": 3, **dict(recipe)},
        data={
            "name": "pets",
            "source": "/data/my pets",
            "fingerprint": "sha256:abc",
            "class_names": list(names),
            "counts": {"train": 900, "validation": 100, "test": 60},
            **dict(data),
        },
        environment=ENVIRONMENT,
        seed=seed,
    )
    run.write_history([epoch(number) for number in range(1, epochs + 1)])
    if completed:
        run.update_result(
            completed=True,
            epochs_run=epochs,
            best_epoch=2,
            parameters=1234,
            known_threshold=0.5,
            model_summary="Model: <tiny>",
            seconds={"setup": 1.0, "compile": 2.0, "train": 65.0},
        )
    return run


def make_logits(labels, classes, right=0.8, seed=0):
    """Logits of which about a share `right` is right."""
    generator = np.random.default_rng(seed)
    guesses = np.where(generator.random(len(labels)) < right, labels, (labels + 1) % classes)
    return (
        np.eye(classes)[guesses] * 3 + generator.normal(size=(len(labels), classes)) / 5
    ).astype(np.float32)


def evaluate(run, *, n=60, right=0.8, side=8, stated=True, **figures):
    """Add what `evaluate` adds, from made-up logits."""
    names = run.data["class_names"]
    labels = np.arange(n) % len(names)
    logits = make_logits(labels, len(names), right)
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)[:4]
    index = np.concatenate([np.arange(min(4, n)), wrong])
    images = np.random.default_rng(1).integers(0, 256, (len(index), side, side, 3), np.uint8)
    run.write_predictions(
        "test",
        logits=logits,
        labels=labels,
        shown_index=index,
        shown_images=images,
        shown_kind=np.array(["random"] * min(4, n) + ["worst"] * len(wrong)),
    )
    if stated:
        summary = metrics.summarize(logits, labels, names)
        made = {"split": "test", "tta": "none", "test_looks": 1}
        run.update_result(**(made | summary | figures))
    return run


@pytest.fixture(autouse=True)
def no_png(request, monkeypatch):
    """Leaves the PNG files away, half of a report's time, but where they are what is tested."""
    if "png" not in request.node.name:
        monkeypatch.setattr("cifarlab.report.save_plots", lambda facts: None)


@pytest.fixture(autouse=True)
def few_drawings(request, monkeypatch):
    """Leaves most drawings away as well, but for the tests that look at them."""
    looking = ("browser", "colours", "diagram", "drawn", "network", "seeing", "thousand")
    if not any(word in request.node.name for word in looking):
        monkeypatch.setattr("cifarlab.report.certainty._diagram", lambda *_: None)
        monkeypatch.setattr("cifarlab.report.certainty._curve", lambda *_: None)
        monkeypatch.setattr("cifarlab.report.robustness._plot", lambda *_: "")


@pytest.fixture
def run(tmp_path):
    return evaluate(make_run(tmp_path / "debug-1"))


@pytest.fixture
def other(tmp_path):
    return evaluate(make_run(tmp_path / "other", recipe={"batch_size": 8}), right=0.6)


class Page(HTMLParser):
    """A page as its elements, its text and its sections' text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.sections, self.images = {}, {}
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(self.text.replace("\xa0", " ").split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        for _, around in self.open if tag == "img" else ():
            self.images.setdefault(around.get("id"), []).append(dict(attributes))
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "style":
            return
        self.text += f" {data}"
        for _, attributes in self.open:
            if "id" in attributes:
                known = self.sections.get(attributes["id"], "")
                words = " ".join(data.replace("\xa0", " ").split())
                self.sections[attributes["id"]] = f"{known} {words}".strip()

    def every(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def report(*runs, **options):
    return Page(write_report(list(runs), **options))


def test_first_screen_says_what_how_good_and_where(run):
    hero = report(run).sections["result"]
    result = run.result
    n, right = result["n"], round(result["accuracy"] * result["n"])
    low, high = result["accuracy_ci95"]
    assert f"{100 * result['accuracy']:.1f} % of {n} test images right" in hero
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" in hero
    assert f"It names {right} of {n} test images right" in hero
    assert "most frequent class would have 33.3 % right" in hero
    assert "debug trained tiny, 1,234 parameters, on 900 images of pets in 3 classes" in hero
    assert "for 3 epochs, which took 1 min 5 s" in hero
    f1 = {name: figures["f1"] for name, figures in result["per_class"].items()}
    assert f"strongest on {max(f1, key=f1.get)}" in hero
    assert f"weakest on {min(f1, key=f1.get)}" in hero


def test_views_that_were_averaged_over_are_said(tmp_path):
    plain = evaluate(make_run(tmp_path / "plain"), tta="none")
    assert "averaged over" not in report(plain).sections["result"]
    both = evaluate(make_run(tmp_path / "both"), tta="flip")
    assert "averaged over each image and its mirror image" in report(both).sections["result"]


def test_every_figure_is_result_jsons_own(tmp_path):
    run = evaluate(make_run(tmp_path / "a"), loss=7.125, ece=0.4321, accuracy=0.1234)
    text = report(run).text
    for figure in ("7.125", "43.2 %", "12.3 % of 60 test images"):
        assert figure in text


def test_figures_that_result_json_lacks_are_computed_from_the_predictions(tmp_path):
    stated = report(evaluate(make_run(tmp_path / "one" / "run"))).sections
    computed = report(evaluate(make_run(tmp_path / "two" / "run"), stated=False)).sections
    assert computed["classes"] == stated["classes"].replace(
        " The test images were opened once for this run.", ""
    )
    assert computed["confusions"] == stated["confusions"]


def test_figures_that_result_json_has_stay_where_others_are_computed(tmp_path):
    run = evaluate(make_run(tmp_path / "a"), loss=7.125, ece=None)
    page = report(run)
    predictions = run.predictions("test")
    ece = metrics.expected_calibration_error(predictions["logits"], predictions["labels"])
    assert "7.125" in page.text
    assert f"calibration error {100 * ece:.1f} %" in page.text


def test_a_run_without_its_predictions_shows_what_result_json_has(run):
    whole = report(run)
    (run.path / "predictions-test.npz").unlink()
    page = report(run)
    figures = whole.sections["confusions"].partition(" cat taken for dog 1 of ")[0]
    assert page.sections["confusions"] == figures.replace(CHOOSE, "")
    assert "images" not in page.sections


def test_class_names_that_are_no_words_are_quoted_in_sentences(tmp_path):
    page = report(evaluate(make_run(tmp_path / "a", names=["0", "1", "cat"])))
    assert re.search("strongest on (“[01]”|cat), .* weakest on (“[01]”|cat),", page.text)


def test_names_from_right_to_left_leave_the_numbers_where_they_are(tmp_path):
    page = report(evaluate(make_run(tmp_path / "a", names=["קטת", "כלב", "frog"])))
    isolated = re.findall("\u2068(\\w+)\u2069 [^ ]*taken for", page.text)
    assert set(isolated) <= {"קטת", "כלב"}
    assert isolated
    assert "\u2068frog" not in page.text
    assert "<bdi>קטת</bdi>" in page.source


def test_a_frequent_class_leaves_its_mark_on_the_scale(tmp_path):
    for wrong, at_end in ((10, True), (90, False)):
        run = make_run(tmp_path / str(wrong))
        labels = (np.arange(200) < wrong).astype(int)
        run.write_predictions("test", logits=make_logits(labels, 3), labels=labels)
        assert ('<b class="far"' in report(run).source) == at_end


def test_figures_on_hard_images_are_said_to_be_of_those(tmp_path):
    made = make_run(tmp_path / "a")
    said = "at the most the hardest 50 % alone; figures on training images are of those visited"
    for hard, told in (([], False), ([1.0, 1.0], False), ([1.0, 0.5, 0.7], True)):
        made.update_result(hard=hard)
        assert (said in report(made).sections["learning"]) == told


def test_class_table_has_shares_and_intervals_by_class(run):
    text = report(run).sections["classes"]
    for name, figures in run.result["per_class"].items():
        hits = round(figures["recall"] * figures["support"])
        low, high = metrics.wilson_interval(hits, figures["support"])
        recall = f"{name} {100 * figures['recall']:.1f} % {100 * low:.1f} to {100 * high:.1f} %"
        assert recall in text
        assert f"{100 * figures['f1']:.1f} % {figures['support']}" in text


def test_confusion_matrix_is_a_table_of_counts_with_shares_of_the_row(run):
    page = report(run)
    cells = [a["title"] for a in page.every("td") if "title" in a]
    matrix = np.array(run.result["confusion_matrix"])
    support = matrix.sum(axis=1)
    named = [
        (f"{true} found" if i == j else f"{true} taken for {called}", matrix[i, j], support[i])
        for i, true in enumerate(NAMES)
        for j, called in enumerate(NAMES)
    ]
    assert cells == [
        f"{what}: {times} of {of} ({100 * times / of:.1f}\xa0%)" for what, times, of in named
    ]
    said = [a["aria-label"] for a in page.every("button") if "aria-label" in a]
    told = [label.removesuffix(", show images") for label in said if label != "Close"]
    assert told
    assert set(told) <= set(cells)


def test_confusion_matrix_of_many_classes_is_a_picture(tmp_path):
    names = [f"class {i}" for i in range(30)]
    page = report(evaluate(make_run(tmp_path / "a", names=names), n=90))
    assert any("Confusion matrix of 30 classes" in image["alt"] for image in page.every("img"))
    assert not [a for a in page.every("td") if "title" in a]


def test_images_are_the_predictions_own_with_labels_and_probability(run):
    page = report(run)
    kept = run.predictions("test")
    images = page.images["images"]
    assert len(images) == len(kept["shown_index"])
    for shown, index, pixels in zip(images, kept["shown_index"], kept["shown_images"], strict=True):
        content = base64.b64decode(shown["src"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
        true = NAMES[kept["labels"][index]]
        predicted = NAMES[kept["logits"][index].argmax()]
        outcome = "rightly" if true == predicted else "wrongly"
        assert shown["alt"] == f"test image {index}: {true}, {outcome} called {predicted}"
    worst = kept["shown_index"][-1]
    probability = metrics.softmax(kept["logits"][[worst]]).max()
    assert f"{100 * probability:.1f} %" in page.sections["images"]


def test_large_images_keep_the_page_small(tmp_path):
    run = evaluate(make_run(tmp_path / "a"), side=512)
    assert write_report([run]).stat().st_size < 1_000_000


def test_learning_says_what_the_curves_show(run):
    text = report(run).sections["learning"]
    assert "Validation accuracy went from 50.0 % in epoch 1 to 60.0 % in epoch 2" in text
    assert "training accuracy, 80.0 %, is 10.0 points above validation accuracy, 70.0 %" in text
    assert "learning rate stayed at 0.1" in text
    assert "2 (kept)" in text
    assert "training 1 min 5 s" in text


def test_too_sure_is_said_and_measured(tmp_path):
    run = evaluate(make_run(tmp_path / "a"), right=0.5)
    kept = run.predictions("test")
    gap = metrics.softmax(kept["logits"]).max(axis=1).mean() - run.result["accuracy"]
    assert f"too sure by {100 * gap:.1f} points" in report(run).text


def test_few_images_do_not_say_that_it_is_too_sure(tmp_path):
    run = evaluate(make_run(tmp_path / "a"), n=20, right=0.9)
    kept = run.predictions("test")
    gap = metrics.softmax(kept["logits"]).max(axis=1).mean() - run.result["accuracy"]
    assert abs(gap) > 0.005
    text = report(run).text
    assert f"{100 * abs(gap):.1f} points apart, which with 20 images may be chance" in text
    assert "too sure by" not in text


def test_records_are_complete(run):
    page = report(run)
    assert "Model: <tiny>" in page.sections["model"]
    assert "sha256:abc" in page.sections["data"]
    assert "900 100 60" in page.sections["data"]
    assert "epochs 3" in page.sections["recipe"]
    assert "versions keras 3.15.1" in page.sections["environment"]
    assert "memory 16.0 GiB" in page.sections["environment"]


def test_commands_to_reproduce_can_be_pasted(tmp_path):
    folder = tmp_path / "my runs" / "debug-1"
    run = evaluate(make_run(folder, seed=7), tta="flip")
    text = report(run).sections["reproduce"]
    again = f"'{tmp_path}/my runs/debug-1-again'"
    assert (
        f"cifarlab train '/data/my pets' --recipe '{folder}/recipe.json' --seed 7 "
        f"--backend tensorflow --out {again} cifarlab evaluate {again} --tta flip "
        f"cifarlab report {again}"
    ) in text


def test_a_page_for_others_does_not_say_whose_home_it_is(tmp_path, monkeypatch):
    home = tmp_path / "ann"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    every = [
        evaluate(make_run(home / parent / "debug-1", data={"source": f"{home}/{parent} pets"}))
        for parent in ("a", "b")
    ]
    typed = {"command": f"cifarlab train {home}/a --out={home}", "platform": f"{home}ly"}
    files.write_json(every[0].path / "environment.json", {**ENVIRONMENT, **typed})
    page, several = report(every[0]), report(*every)
    assert (
        "cifarlab train ~/'a pets' --recipe ~/a/debug-1/recipe.json" in page.sections["reproduce"]
    )
    assert "source ~/a pets" in page.sections["data"]
    assert "command cifarlab train ~/a --out=~" in page.sections["environment"]
    assert f"platform {home}ly" in page.sections["environment"]  # another folder's name
    assert "source ~/a pets ~/b pets" in several.sections["differences"]
    for source in (page.source, several.source):
        assert not re.search(rf"{re.escape(str(home))}(?!ly)", source)


def test_a_run_without_evaluation_says_so(tmp_path):
    run = make_run(tmp_path / "debug-1")
    page = report(run)
    assert "Not evaluated yet" in page.text
    assert f"cifarlab evaluate {run.path}" in page.text
    assert "had 70.0 % right in epoch 3, the best of 3, which flatters" in page.text
    assert not {"classes", "confusions", "images"} & set(page.sections)


def test_a_run_on_data_without_test_images_is_measured_on_validation(tmp_path):
    counts = {"train": 900, "validation": 100, "test": 0}
    run = make_run(tmp_path / "a", data={"counts": counts})
    command = f"cifarlab evaluate {run.path} --split val"
    assert f"Run {command} to open the validation images" in report(run).text
    labels = np.arange(60) % 3
    logits = make_logits(labels, 3, right=1)
    run.write_predictions("val", logits=logits, labels=labels, tta=np.array("flip"))
    page = report(run)
    assert "100.0 % of 60 validation images right" in page.sections["result"]
    assert "There are no test images; those of validation served the training" in page.text
    assert "averaged over each image and its mirror image" in page.text
    assert "a-again --split val --tta flip" in page.sections["reproduce"]
    assert f"cifarlab robustness {run.path} does" in page.text
    none = {"counts": counts | {"validation": 0, "test": 60}}
    unheld = report(make_run(tmp_path / "b", data=none)).text  # robustness needs another split
    assert f"cifarlab robustness {tmp_path / 'b'} --split test does" in unheld


def test_an_unfinished_run_says_how_to_go_on(tmp_path):
    run = make_run(tmp_path / "a", epochs=1, completed=False)
    text = report(run).text
    assert f"cifarlab train --resume {run.path}" in text
    assert "for 1 epoch of 3 so far" in text
    assert "cifarlab evaluate" not in text.split("Learning")[0]


def test_a_run_without_any_epoch_has_a_report(tmp_path):
    assert (
        "No epoch has been completed."
        in report(make_run(tmp_path / "a", epochs=0, completed=False)).text
    )


def test_a_run_without_validation_has_a_report(tmp_path):
    run = evaluate(make_run(tmp_path / "a"))
    run.write_history([epoch(n, val_loss=None, val_accuracy=None) for n in (1, 2)])
    text = report(run).text
    assert "Training accuracy went from 60.0 % in epoch 1 to 70.0 % in epoch 2" in text


def test_one_test_image_and_absent_classes_have_a_report(tmp_path):
    text = report(evaluate(make_run(tmp_path / "a"), n=1, right=1)).text
    assert "100 % of 1 test image right" in text
    two = report(evaluate(make_run(tmp_path / "b"), n=2, right=0.5)).sections["result"]
    assert re.search(r"test loss \S+ 95 %: 0.000 to", two)  # no loss is below
    assert "There are no test images of dog and frog." in text
    assert "dog – no images – never predicted – 0 –" in text


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style>' onload='x",
    "{{ 7 * 7 }} & $x_{$",
]


def test_hostile_names_stay_text(tmp_path, other):
    folder = tmp_path / "<b onclick=x>"
    run = evaluate(
        make_run(
            folder,
            names=HOSTILE,
            recipe={"name": HOSTILE[0], "summary": HOSTILE[1], "model": HOSTILE[2]},
            data={"name": HOSTILE[0], "source": HOSTILE[1]},
        )
    )
    run.update_result(model_summary=HOSTILE[0])
    for page in (report(run), report(run, other)):
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "b onclick", "object", "iframe"}
        assert not [a for _, a in page.elements for key in a if key.startswith("on")]
        assert not page.open
        for name in HOSTILE:
            assert name in page.text


def test_the_page_loads_and_runs_nothing(run, other):
    for page in (report(run), report(run, other)):
        policy = next(a["content"] for a in page.every("meta") if "http-equiv" in a)
        assert policy.startswith("default-src 'none'")
        for tag, attributes in page.elements:
            assert tag != "script"
            for key in ("src", "href", "srcset", "xlink:href", "action"):
                assert attributes.get(key, "#").startswith(("#", "data:")), (tag, attributes)
        assert "@import" not in page.source
        assert set(re.findall(r"url\((.)", page.source)) <= {"#"}


def test_the_page_can_be_read_without_seeing_it(run, other):
    for page in (report(run), report(run, other)):
        assert page.every("html")[0]["lang"] == "en"
        assert all(image.get("alt") for image in page.every("img"))
        assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.every("svg"))
        assert all(th.get("scope") in ("row", "col") for th in page.every("th"))
        assert len(page.every("table")) == len(page.every("caption"))
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        targets = {a["href"][1:] for a in page.every("a")} | {
            use["href"][1:] for use in page.every("use")
        }
        assert targets <= set(ids)


def test_figures_take_the_pages_colours(run):
    page = report(run)
    drawing = page.source[page.source.index("<svg") :]
    assert "var(--series-1)" in drawing
    assert not {colour for colour in THEME if colour in drawing}


def test_plots_are_saved_as_png_too(run):
    write_report([run])
    names = ["confusion.png", "learning-curves.png", "random-images.png", "worst-images.png"]
    assert sorted(path.name for path in (run.path / "plots").iterdir()) == names
    assert all(Image.open(run.path / "plots" / name).format == "PNG" for name in names)


def test_the_same_run_gives_the_same_bytes(run):
    assert write_report([run]).read_bytes() == write_report(run).read_bytes()


def test_where_the_report_goes(run, other, tmp_path):
    assert write_report([run]) == run.path / "report.html"
    assert write_report([run], out=tmp_path / "x.html") == tmp_path / "x.html"
    assert write_report([run], out=tmp_path / "new") == tmp_path / "new" / "report.html"
    before = (run.path / "report.html").read_bytes()
    assert write_report([run, other]) == run.path / "comparison.html"
    assert (run.path / "report.html").read_bytes() == before


def test_comparison_ranks_and_says_when_it_cannot_tell(tmp_path):
    good = evaluate(make_run(tmp_path / "good"), n=600, right=0.95)
    near = evaluate(make_run(tmp_path / "near"), n=600, right=0.945)
    bad = evaluate(make_run(tmp_path / "bad", recipe={"batch_size": 8}), n=600, right=0.5)
    hero = report(near, good).sections["result"]
    assert hero.startswith(
        "2 runs side by side 600 test images cannot tell near from good: good is"
    )
    page = report(bad, good)
    gap = 100 * (good.result["accuracy"] - bad.result["accuracy"])
    assert f"good is better than bad on 600 test images, by {gap:.2f} points" in page.text
    assert "good has the highest accuracy" in page.text
    assert "batch_size 8 –" in page.sections["differences"]
    assert "fingerprint" not in page.sections["differences"]


def test_comparison_is_paired_where_intervals_would_not_tell(tmp_path):
    """A is right on 85 % of 600 images, B on those and 12 more: the intervals overlap by far."""
    runs = [make_run(tmp_path / name) for name in ("a", "b", "c")]
    labels = np.arange(600) % 3
    for run, wrong in zip(runs, (90, 78, 90), strict=True):
        answers = np.where(np.arange(600) < wrong, (labels + 1) % 3, labels)
        logits = np.eye(3, dtype="float32")[answers] * 4
        run.write_predictions("test", logits=logits, labels=labels)
        figures = metrics.summarize(logits, labels, NAMES)
        run.update_result(split="test", tta="none", test_looks=1, **figures)
    a, b = (run.result["accuracy_ci95"] for run in runs[:2])
    assert a[1] > b[0]
    page = report(*runs[:2])
    assert "b is better than a on 600 test images, by 2.00 points" in page.sections["result"]
    assert "exact p = 0.00049" in page.sections["result"]
    assert "a -2.00 -3.17 to -1.00 12 0 98.0 % 0.00049 0.00049 worse" in page.sections["pairs"]
    # Any of the three could have been the best: Holm over their three pairs.
    three = report(*runs).sections["pairs"]
    assert three.count("0.00049 0.0015 worse") == 2


def test_comparison_shows_the_images_that_flipped(tmp_path, monkeypatch):
    good = evaluate(make_run(tmp_path / "good"), right=0.95)
    bad = evaluate(make_run(tmp_path / "bad"), right=0.5)
    older = evaluate(make_run(tmp_path / "older"), right=0.5)
    kept, labels = bad.predictions("test"), good.predictions("test")["labels"]
    answers = [each.predictions("test")["logits"].argmax(axis=1) for each in (good, bad)]
    only = np.flatnonzero((answers[0] == labels) & (answers[1] != labels))
    shown = sorted({*only.tolist()} & {*kept["shown_index"].tolist()})
    assert 2 <= len(shown) < len(only)
    page = report(bad, good, older)
    words = f"Only good is right: {len(only)} images, {len(shown)} of them here. bad took them for:"
    taken = [f"{NAMES[answers[1][i]]} is {NAMES[labels[i]]}" for i in shown]
    assert f"good and bad {words} {' '.join(taken)}" in page.sections["pairs"]
    first = page.images["pairs"][0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["src"].partition(",")[2]))))
    # Here, unlike in a real split, two runs may keep two pictures of one number.
    runs = [each.predictions("test") for each in (good, bad, older)]
    pictures = [each["shown_images"][each["shown_index"] == shown[0]] for each in runs]
    assert any((pixels == picture).all() for picture in np.concatenate(pictures))
    assert first["title"] == f"no. {shown[0]}"

    monkeypatch.setattr(
        "cifarlab.report.flips.ROOM", sum(len(i["src"]) for i in page.images["pairs"]) - 1
    )
    full = report(bad, good, older).sections["pairs"]
    assert "good and bad Only" in full
    assert "good and older" not in full
    arrays = {name: kept[name] for name in ("logits", "labels")}
    for run in (good, bad):
        run.write_predictions("test", **arrays | {"logits": run.predictions("test")["logits"]})
    assert "flipped" not in report(bad, good).text


def test_comparison_says_in_which_classes_runs_differ(tmp_path):
    """Of 200 cats ten are wrong in one run alone: 10 to 0, and Holm over three classes."""
    labels = np.arange(600) % 3
    for name, wrong in (("worse", range(0, 30, 3)), ("better", [])):
        answers = np.where(np.isin(np.arange(600), wrong), (labels + 1) % 3, labels)
        run = make_run(tmp_path / name)
        run.write_predictions("test", logits=np.eye(3, dtype="float32")[answers], labels=labels)
        run.update_result(split="test", tta="none", test_looks=1)
    page = report(Run(tmp_path / "worse"), Run(tmp_path / "better"))
    assert "cat 200 -5.00 p = 0.0059" in page.sections["classes"]
    assert "dog 200 0.00 p = 1" in page.sections["classes"]
    assert 'lead">-5.00' in page.source
    assert 'lead">0.00' not in page.source


def test_comparison_of_other_images_is_not_paired(tmp_path):
    one = evaluate(make_run(tmp_path / "one"), n=600, right=0.95)
    other = evaluate(make_run(tmp_path / "other"), n=599, right=0.5)
    page = report(one, other)
    assert "pairs" not in page.sections
    assert "paired" not in page.text
    assert "Their 95 % intervals do not overlap" in page.text


def test_comparison_over_seeds_says_which_recipe_is_better(tmp_path):
    runs = []
    for recipe, right in (("weak", 0.6), ("strong", 0.9)):
        for seed in range(3):
            run = make_run(tmp_path / f"{recipe}{seed}", seed=seed, recipe={"name": recipe})
            runs.append(evaluate(run, n=600, right=right + seed / 200))
    hero = report(*runs).sections["result"]
    means = [np.mean([run.result["accuracy"] for run in runs[k : k + 3]]) for k in (0, 3)]
    gap = 100 * (means[1] - means[0])
    assert f"strong (3 runs) is better than weak (3 runs) on 600 test images, by {gap:.2f}" in hero


def test_comparison_sets_cost_beside_quality(tmp_path):
    quick = evaluate(make_run(tmp_path / "quick"), n=600, right=0.8)
    slow = evaluate(make_run(tmp_path / "slow"), n=600, right=0.6)
    slow.update_result(seconds={"train": 130.0, "evaluate": 2.0})
    page = report(slow, quick)
    low, high = (100 * bound for bound in slow.result["accuracy_ci95"])
    row = (
        f"slow 2 min 10 s 1,234 300 {100 * slow.result['accuracy']:.1f} % {low:.1f} to {high:.1f} %"
    )
    assert row in page.sections["cost"]
    assert page.sections["cost"].index("quick 1 min 5 s 1,234 –") < page.sections["cost"].index(row)


def test_comparison_of_different_data_is_marked(tmp_path):
    one = evaluate(make_run(tmp_path / "one"))
    other = evaluate(make_run(tmp_path / "other", data={"fingerprint": "sha256:def"}))
    assert "used different data" in report(one, other).text
    same = evaluate(make_run(tmp_path / "same"))
    assert "used different data" not in report(one, same).text


def test_comparison_averages_seeds_of_one_recipe(tmp_path):
    accuracies = [0.90, 0.92, 0.94]
    runs = [
        evaluate(make_run(tmp_path / f"r{seed}", seed=seed), accuracy=value)
        for seed, value in enumerate(accuracies)
    ]
    _, low, high = metrics.mean_interval(accuracies)
    text = report(*runs).sections["result"]
    row = f"debug 3 seeds 92.0 % {100 * low:.1f} to {100 * high:.1f} % 2.00 points 90.0 to 94.0 %"
    assert row in text
    same_seed = evaluate(make_run(tmp_path / "again", seed=0))
    assert "several seeds" not in report(runs[0], same_seed).sections["result"]
    assert row in report(*runs, same_seed).sections["result"]  # a training made again is no seed


def test_comparison_holds_runs_that_are_not_evaluated(tmp_path):
    page = report(evaluate(make_run(tmp_path / "a")), make_run(tmp_path / "b"))
    assert "1 of the 2 runs have not been evaluated" in page.text
    assert "None of these 2 runs" in report(make_run(tmp_path / "c"), make_run(tmp_path / "d")).text


def test_bad_input_is_refused_and_leaves_the_old_report(run, tmp_path):
    with pytest.raises(UsageError, match="needs a run"):
        write_report([])
    with pytest.raises(UsageError, match="twice"):
        write_report([run, Run(run.path)])
    path = write_report([run])
    before = path.read_bytes()
    result = run.result
    (run.path / "result.json").write_text('{"accuracy": ')
    with pytest.raises(RunError, match=r"result\.json"):
        write_report([run])
    result.pop("per_class")
    (run.path / "result.json").write_text(json.dumps(result))
    (run.path / "predictions-test.npz").unlink()
    with pytest.raises(RunError, match="per_class"):
        write_report([run])
    assert path.read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(CifarlabError, match="cannot write"):
        write_report([evaluate(make_run(tmp_path / "b"))], out=tmp_path / "file" / "x.html")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_complaint(run, tmp_path):
    path, picture = write_report([run]), tmp_path / "page.png"
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-quic --enable-logging=stderr"
    flags += f" --window-size=800,1000 --user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *flags.split(), f"--screenshot={picture}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 50
