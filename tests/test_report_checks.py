"""The report's further sections: calibration, unknowns, robustness, audit, what opens, glossary."""

import base64
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab import metrics
from cifarlab.errors import RunError
from cifarlab.report import write_report
from cifarlab.report.facts import FURTHER
from cifarlab.report.glossary import GLOSSARY
from cifarlab.shown import choose_shown
from page_driver import CONTRAST, Page, Site
from test_report import HOSTILE, NAMES, evaluate, make_logits, make_run, report
from test_report import few_drawings as few_drawings  # fixtures that act by themselves
from test_report import no_png as no_png

DOCS = Path(__file__).resolve().parent.parent / "docs"
DOCUMENTED = ("explain", "figures", "robustness", "unknowns")
LOOK = "audit: compared"


def keep(run, logits, labels, side=8, **further):
    """Predictions with the images that `evaluate` keeps."""
    scores = metrics.softmax(logits)
    index, kind = choose_shown(
        labels, scores.argmax(axis=1), scores.max(axis=1), 0, side * side * 3
    )
    images = np.random.default_rng(0).integers(0, 256, (len(index), side, side, 3), np.uint8)
    kept = {"shown_index": index, "shown_images": images, "shown_kind": kind}
    run.write_predictions("test", logits=logits, labels=labels, **kept, **further)
    names = run.data["class_names"]
    figures = metrics.summarize(logits, labels, names, float(further.get("temperature", 1)))
    run.update_result(**figures, split="test", tta="none", test_looks=1)
    return run


@pytest.fixture
def run(tmp_path):
    return evaluate(make_run(tmp_path / "debug-1"))


def opened(page):
    """Popover's id to its images."""
    return {name: images for name, images in page.images.items() if str(name).startswith("cell-")}


# --- why ---


def test_the_worst_mistakes_show_where_the_evidence_is(tmp_path):
    labels = np.arange(60) % 3
    logits = make_logits(labels, 3, right=0.8)
    run = keep(make_run(tmp_path / "a"), logits, labels)
    assert "Where it looked" not in report(run).sections["images"]
    kept = run.predictions("test")
    place = np.flatnonzero(kept["shown_kind"] == "worst")[:2]
    maps = np.zeros((2, 2, 8, 8), np.uint8)
    maps[0, 0, 7, 7] = 255  # of the first image, what speaks for its answer; for its label nothing
    run.write_predictions("test", **kept, map_place=place, maps=maps)
    page = report(run)
    images = page.images["images"][-6:]
    row = int(kept["shown_index"][place[0]])
    answer, label = NAMES[logits[row].argmax()], NAMES[labels[row]]
    assert images[1]["alt"] == f"What speaks for {answer} in image {row}: most at the lower right"
    assert images[2]["alt"] == f"What speaks for {label} in image {row}: nothing"
    png = base64.b64decode(images[1]["src"].partition(",")[2])
    drawn = np.array(Image.open(io.BytesIO(png)))
    expected = kept["shown_images"][place[0]] * np.where(maps[0, 0] > 0, 1, 0.2)[..., None]
    np.testing.assert_allclose(drawn, expected, atol=0.5)


# --- what opens ---


def test_every_mistaken_cell_opens_its_own_images(tmp_path):
    labels = np.arange(90) % 3
    run = keep(make_run(tmp_path / "a"), make_logits(labels, 3, right=0.6), labels)
    page = report(run)
    matrix = np.array(run.result["confusion_matrix"])
    wrong = [(i, j) for i, j in np.ndindex(3, 3) if i != j and matrix[i, j]]
    assert wrong
    assert set(opened(page)) == {f"cell-{i}-{j}" for i, j in wrong}
    buttons = {a["popovertarget"] for a in page.every("button") if "show images" in str(a)}
    assert buttons == set(opened(page))
    for (i, j), images in (((i, j), opened(page)[f"cell-{i}-{j}"]) for i, j in wrong):
        assert len(images) == min(6, matrix[i, j])
        assert all(f": {NAMES[i]}, wrongly called {NAMES[j]}" in a["alt"] for a in images)
        text = page.sections[f"cell-{i}-{j}"]
        assert f"{NAMES[i]} taken for {NAMES[j]} {len(images)} of {matrix[i, j]} image" in text


def test_an_older_run_opens_the_images_that_it_has(run):
    kept = run.predictions("test")
    assert "cell" not in kept["shown_kind"]
    shown = {a["alt"].split(":")[0] for images in opened(report(run)).values() for a in images}
    wrong = kept["shown_index"][kept["shown_kind"] == "worst"]
    assert shown == {f"test image {i}" for i in wrong}


def test_many_classes_open_from_the_list_of_mistakes(tmp_path):
    names = [f"class {i}" for i in range(30)]
    labels = np.arange(300) % 30
    run = make_run(tmp_path / "a", names=names)
    page = report(keep(run, make_logits(labels, 30, right=0.5), labels))
    assert len(opened(page)) == 8
    assert {a["popovertarget"] for a in page.every("button") if a.get("class") == "opens"} == set(
        opened(page)
    )


def test_ten_thousand_images_stay_small_and_quick(tmp_path):
    labels = np.arange(10_000) % 10
    run = make_run(tmp_path / "a", names=[f"class {i}" for i in range(10)])
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(10_000, 10)).astype(np.float32)
    logits[np.arange(10_000), labels] += 2
    keep(run, logits, labels, side=64)  # noise at 64 pixels: nothing is larger as PNG
    write_report([run])  # matplotlib's first figure is slow
    before = time.process_time()
    path = write_report([run])
    assert time.process_time() - before < 3
    assert 2_000_000 < path.stat().st_size < 5_000_000
    assert path.read_text().count('popover role="dialog"') == 90


# --- calibration, unknowns, figures ---


def test_calibration_shows_errors_temperature_thresholds_and_diagram(tmp_path):
    labels = np.arange(600) % 3
    run = make_run(tmp_path / "a")
    run.update_result(calibration={"tta": "none", "by_tta": {}})
    keep(run, make_logits(labels, 3), labels, temperature=np.array(0.5))
    kept = {"confidence": 0.7654, "coverage": 0.81, "precision": 0.962}
    run.update_result(thresholds={"0.95": kept, "0.99": None})
    page = report(run)
    text = page.sections["calibration"]
    ece, before = (f"{100 * run.result[k]:.1f} %" for k in ("ece", "ece_uncalibrated"))
    assert ece != before
    assert (
        f"divided by 0.5, fitted on validation: calibration error {ece}, without it {before}"
        in text
    )
    assert "right in 95 % of its answers it should answer from a confidence of 76.5 %" in text
    assert "that is 81.0 % of the test images, of which 96.2 % are right" in text
    assert "No confidence is known from which 99 % of its answers are right" in text
    assert len([a for a in page.every("svg") if "eliability" in a["aria-label"]]) == 1
    described = " ".join(a["aria-label"] for a in page.every("svg")).replace("\xa0", " ")
    assert f"{100 * (1 - run.result['accuracy']):.1f} % at all of them" in described
    counts = [each["count"] for each in run.result["reliability"] if each["count"]]
    for number in counts:
        assert f" % {number} " in text
    (run.path / "predictions-test.npz").unlink()
    assert "divided by 0.5, fitted on validation" in report(run).sections["calibration"]


def test_half_of_the_images_is_drawn_as_it_is_said(tmp_path):
    logits = np.array([[9, 0, 0], [8, 0, 0], [2, 0, 0], [1, 0, 0]], np.float32)
    page = report(keep(make_run(tmp_path / "a"), logits, np.array([0, 0, 1, 1])))
    said = "Of the surer half of the images 0.0 % are answered wrongly, of all 50.0 %"
    assert said in page.sections["calibration"]
    described = [a["aria-label"].replace("\xa0", " ") for a in page.every("svg")]
    assert [words for words in described if "0.0 % at half of the images, 50.0 % at all" in words]


def test_figures_of_result_json_stand_beside_loss_and_by_class(run):
    run.update_result(
        brier_score=0.111, balanced_accuracy=0.222, balanced_accuracy_ci95=[0.2, 0.3],
        top_k_accuracy={"2": 0.333, "3": None}, aurc=0.0444,
        roc_auc=dict.fromkeys(NAMES, 0.555),
        average_precision={**dict.fromkeys(NAMES), "cat": 0.666},
    )  # fmt: skip
    page = report(run)
    hero = page.sections["result"]
    assert "Brier score 0.111" in hero
    assert "balanced accuracy 22.2 % 95 %: 20.0 to 30.0 %" in hero
    assert "top-2 accuracy 33.3 %" in hero
    assert "top-3" not in hero
    assert page.sections["classes"].count("0.555") == 3
    assert re.search(r"cat .* 20 0\.555 0\.666", page.sections["classes"])
    assert page.sections["classes"].count("0.555 –") == 2
    assert "0.0444" in page.sections["calibration"]


def test_an_older_result_without_predictions_has_a_page(run):
    (run.path / "predictions-test.npz").unlink()
    result = {key: value for key, value in run.result.items() if key not in FURTHER}
    (run.path / "result.json").write_text(json.dumps(result))
    page = report(run)
    assert "Brier score" not in page.sections["result"]
    assert "ROC-AUC" not in page.sections["classes"]
    assert "calibration error" in page.sections["calibration"]


def test_the_gain_of_views_stands_beside_its_cost(run):
    assert "views: flip" not in report(run).sections["result"]
    gain = {"views": 2.0, "accuracy_without": 0.9, "difference": 0.012, "p_value": 0.01}
    gain |= {"difference_ci95": [0.002, 0.022], "seconds_ratio": 1.96}
    run.update_result(tta="flip", tta_gain=gain)
    text = report(run).sections["result"]
    assert "views: flip +1.20 points 95 %: +0.20 to +2.20; 90.0 % without them, 2 times" in text


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({}, "its highest probability stays below a threshold: 50.0 %"),  # older runs
        ({"known_threshold": 0.0}, "held no validation images out"),
        ({"known_score": "energy", "known_threshold": 2.5}, "the energy of its logits .*: 2.5"),
        ({"known_score": "energy", "known_threshold": None}, "held no validation images out"),
    ],
)
def test_unknowns_say_what_known_means(run, kept, said):
    run.update_result(**kept)
    assert re.search(said, report(run).sections["unknowns"])


def test_an_audits_look_is_no_measurement(run):
    run.update_result(test_looks=2, test_look_notes=[LOOK])
    text = report(run).sections["classes"]
    assert "opened 2 times for this run, one of them for an audit" in text
    assert "too good" not in text
    run.update_result(test_looks=3)
    assert "between the 2 other looks" in report(run).sections["classes"]


# --- robustness and audit ---

ROBUSTNESS = {
    "split": "val",
    "n": 20,
    "images_in_split": 100,
    "severities": [1, 5],
    "clean": {"accuracy": 0.9, "accuracy_ci95": [0.7, 0.97]},
    "mean_corruption_accuracy": 0.612,
    "mean_corruption_accuracy_ci95": [0.5, 0.7],
    "corruptions": {
        name: {
            "kind": kind,
            "mean_accuracy": (a + b) / 2,
            "by_severity": {
                "1": {"accuracy": a, "accuracy_ci95": [0.1, 0.9]},
                "5": {"accuracy": b, "accuracy_ci95": [0.1, 0.9]},
            },
        }
        for name, kind, a, b in [("shot_noise", "noise", 0.6, 0.2), ("fog", "weather", 0.9, 0.75)]
    },
}
UNKNOWNS = {
    "split": "val",
    "score": "energy",
    "threshold": 2.5,
    "known": {"n": 100, "refused": 0.052, "refused_ci95": [0.02, 0.11]},
    "sets": {
        "digits": {"n": 1000, "auroc": 0.8464, "passed": 0.781}
        | {"auroc_ci95": [0.832, 0.86], "passed_ci95": [0.754, 0.806]},
        "_own": {"n": 8, "auroc": 1.0, "passed": 0.0}
        | {"auroc_ci95": [0.7, 1.0], "passed_ci95": [0.0, 0.32]},
    },
    "histogram": {
        "edges": [0.0, 1.0, 2.0],
        "known": [0.25, 0.75],
        "sets": {"digits": [0.5, 0.5], "_own": [1.0, 0.0]},
    },
}
FINDING = {
    **dict.fromkeys(("file", "other_split", "other_index", "other_file", "exact", "given")),
    **dict.fromkeys(("other_given", "suggested")),
}
COPY = {
    "other_split": "train",
    "other_index": 4,
    "exact": True,
    "given": "cat",
    "other_given": "dog",
}
AUDIT = {
    "images": {"train": 900, "test": 60},
    "counts": {"leak": 25, "duplicate": 0, "label": 1, "outlier": 0, "exact": 1, "conflicting": 1},
    "leaked": [3, 7],
    "accuracy": {
        "all": {"n": 60, "accuracy": 0.8, "accuracy_ci95": [0.7, 0.9]},
        "without_leaked": {"n": 58, "accuracy": 0.75, "accuracy_ci95": [0.6, 0.85]},
    },
    "balance": {
        "train": {"counts": {"cat": 10, "dog": 3, "frog": 9}, "imbalanced": True, "small": ["dog"]},
        "test": {"counts": {"cat": 20, "dog": 20, "frog": 20}, "imbalanced": False, "small": []},
    },
    "findings": {
        "leak": [{**FINDING, "kind": "leak", "split": "test", "index": 3, "score": 1.0, **COPY}]
        * 25,
        "label": [
            {**FINDING, "kind": "label", "split": "train", "index": 8, "score": 0.5}
            | {"file": "a/b.png", "given": "cat", "suggested": "dog"}
        ],
    },
}


def add(run, name, value):
    (run.path / f"{name}.json").write_text(json.dumps(value))
    return run


def test_robustness_is_shown_and_drawn_where_it_was_measured(run):
    page = report(add(run, "robustness", ROBUSTNESS))
    text = page.sections["robustness"]
    assert "Of 20 validation images, drawn at random from 100, it has 90.0 % right" in text
    assert "61.2 % on average stay right (95 % interval 50.0 to 70.0 %)" in text
    assert "most from shot noise (40.0 %), and least from fog (82.5 %)" in text
    assert "shot noise noise 60 20 40.0 %" in text
    assert "fog weather 90 75 82.5 %" in text
    plots = [a["aria-label"] for a in page.every("svg") if "severity" in a["aria-label"]]
    assert plots[0] == "Accuracy under noise at the highest severity: shot noise 20.0\xa0%."
    assert len(plots) == 2


def test_unknowns_are_a_table_and_a_histogram_where_they_were_measured(run):
    page = report(add(run, "unknowns", UNKNOWNS))
    text = page.sections["unknowns"]
    assert (
        "Of 100 validation images, 5.2 % (95 % interval 2.0 to 11.0 %) are called unknown" in text
    )
    assert "the threshold was chosen on these" in text
    assert "78.1 % of digits pass, the most of any set" in text
    assert "digits 1,000 0.846 0.832 to 0.860 78.1 % 75.4 to 80.6 %" in text
    assert "_own 8 1.000 0.700 to 1.000 0.0 % 0.0 to 32.0 %" in text
    (plot,) = [a["aria-label"] for a in page.every("svg") if "Histogram" in a["aria-label"]]
    assert plot == (
        "Histogram of the energy of the logits. At or above the threshold: digits 78.1\xa0%, "
        "_own 0.0\xa0%."
    )


def test_an_audit_is_shown_where_it_was_made(run):
    (run.path / "audit").mkdir()
    Image.new("RGB", (640, 300), "red").save(run.path / "audit" / "leaks.png")
    page = report(add(run, "audit", AUDIT))
    text = page.sections["audit"]
    assert "900 training and 60 test images are 25 pairs of copies across splits and 0" in text
    assert "2 test images have a copy elsewhere; without them accuracy is 75.0 %" in text
    assert "5.0 points below that of all" in text
    assert "Training images are imbalanced: the largest class has 10, dog 3." in text
    assert "test 3 the very same pixels as training 4, labelled cat and dog 1.00" in text
    assert text.count("the very same pixels") == 20
    assert "training 8 (a/b.png) labelled cat, rather dog 0.50" in text
    (sheet,) = page.images["audit"]
    assert sheet["src"].startswith("data:image/jpeg")
    assert (sheet["width"], sheet["height"]) == ("640", "300")
    assert "Images far from their class" not in text


def test_what_was_not_looked_at_has_its_command(run):
    page = report(run)
    assert not {"robustness", "audit"} & set(page.sections)
    assert f"cifarlab robustness {run.path}" in page.text
    assert f"cifarlab audit {run.path}" in page.text
    assert f"cifarlab evaluate {run.path} --split val --unknown textures" in page.text
    for name, found in (("robustness", ROBUSTNESS), ("audit", AUDIT), ("unknowns", UNKNOWNS)):
        add(run, name, found)
    assert "not looked at yet" not in report(run).text
    run.update_result(known_threshold=None)  # nothing to measure, so nothing is missing
    (run.path / "unknowns.json").unlink()
    assert "not looked at yet" not in report(run).text
    assert "not looked at yet" not in report(make_run(run.path / "b", completed=False)).text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("robustness", "{"),
        ("robustness", "[]"),
        ("robustness", json.dumps({**ROBUSTNESS, "corruptions": {"fog": {"kind": "weather"}}})),
        ("unknowns", json.dumps({**UNKNOWNS, "sets": {"digits": {"n": 1000}}})),
        ("audit", json.dumps({"images": {}})),
        ("audit", json.dumps({**AUDIT, "findings": {"leak": [{"split": "test"}]}})),
    ],
)
def test_a_damaged_file_is_named(run, name, content):
    (run.path / f"{name}.json").write_text(content)
    with pytest.raises(RunError, match=rf"{name}\.json is damaged"):
        write_report([run])


def test_a_damaged_contact_sheet_is_named(run):
    (run.path / "audit").mkdir()
    (run.path / "audit" / "leaks.png").write_bytes(b"GIF89a")
    with pytest.raises(RunError, match=r"leaks\.png is damaged"):
        write_report([add(run, "audit", AUDIT)])


def test_hostile_findings_stay_text(run):
    bad = HOSTILE[0]
    corruptions = {bad: {**ROBUSTNESS["corruptions"]["fog"], "kind": HOSTILE[1]}}
    label = {**AUDIT["findings"]["label"][0], "file": bad, "given": HOSTILE[1], "suggested": bad}
    add(run, "robustness", {**ROBUSTNESS, "corruptions": corruptions, "split": HOSTILE[2]})
    sets, bins = UNKNOWNS["sets"], UNKNOWNS["histogram"]
    named = {"sets": {bad: sets["digits"]}, "histogram": {**bins, "sets": {bad: [0.5, 0.5]}}}
    add(run, "unknowns", UNKNOWNS | named)
    page = report(add(run, "audit", {**AUDIT, "findings": {"label": [label]}}))
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [a for _, a in page.elements for key in a if key.startswith("on")]
    assert not page.open
    assert bad in page.text


# --- the glossary ---


def test_terms_are_those_of_the_documentation_and_all_are_used(tmp_path):
    documented = "".join((DOCS / f"{name}.md").read_text("utf-8") for name in DOCUMENTED).lower()
    assert not [term.name for term in GLOSSARY.values() if term.name.lower() not in documented]
    labels = np.arange(60) % 3
    run = keep(make_run(tmp_path / "a"), make_logits(labels, 3), labels)
    page = report(add(run, "robustness", ROBUSTNESS))
    used = {a["data-term"] for a in page.every("button") if "data-term" in a}
    assert used <= set(GLOSSARY)
    tips = {a["id"]: a for a in page.every("div") if str(a.get("id")).startswith("tip-")}
    assert set(tips) == {f"tip-{key}" for key in GLOSSARY}
    for button in page.every("button"):
        if "data-term" in button:
            tip = f"tip-{button['data-term']}"
            assert button["popovertarget"] == button["aria-describedby"] == tip
    for key in GLOSSARY:  # each has the rule that shows it
        assert f'[data-term="{key}"]:is(:hover, :focus-visible)) #tip-{key}' in page.source
    assert all(term.meaning in page.sections["glossary"] for term in GLOSSARY.values())


# --- in a browser ---


def test_cells_and_terms_open_by_mouse_and_keyboard(browser, run):
    from selenium.webdriver import ActionChains, Keys

    browser.get(write_report([run]).as_uri())
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    cell = browser.find_element("css selector", ".confusion td button")
    images = browser.find_element("id", cell.get_attribute("popovertarget"))
    assert not images.is_displayed()
    cell.click()
    assert images.is_displayed()
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not images.is_displayed()
    assert browser.switch_to.active_element == cell
    cell.send_keys(Keys.ENTER)
    assert images.is_displayed()
    browser.switch_to.active_element.send_keys(Keys.ENTER)  # the button that closes it
    assert not images.is_displayed()

    term = browser.find_element("css selector", '[data-term="brier"]')
    tip = browser.find_element("id", "tip-brier")
    assert not tip.is_displayed()
    ActionChains(browser).move_to_element(term).perform()
    assert GLOSSARY["brier"].meaning in tip.text
    heading = browser.find_element("tag name", "h1")
    ActionChains(browser).move_to_element(heading).perform()
    assert not tip.is_displayed()
    before = browser.find_element("css selector", '[data-term="loss"]')
    before.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == term
    assert tip.is_displayed()
    for width in (360, 1100):  # whole in the window
        browser.set_window_size(width, 900)
        box = browser.execute_script("return arguments[0].getBoundingClientRect()", tip)
        inner = browser.execute_script("return innerWidth")
        assert 0 <= box["left"] < box["right"] <= inner
        wide = "return document.documentElement.scrollWidth"
        assert browser.execute_script(wide) <= inner


def test_the_page_asks_no_network_and_has_no_complaint(browser, run):
    path = write_report([add(add(run, "robustness", ROBUSTNESS), "audit", AUDIT)])
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    events = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert browser.get_log("browser") == []


def test_a_browser_shows_both_themes_a_phone_and_paper(browser, run):
    path = write_report([add(add(run, "robustness", ROBUSTNESS), "audit", AUDIT)])
    page, ground = Page(browser, Site(path.as_uri(), [], {})), {}
    try:
        for kind, theme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
            themed = [{"name": "prefers-color-scheme", "value": theme}]
            page.command("Emulation.setEmulatedMedia", media=kind, features=themed)
            ground[kind, theme] = page.js("getComputedStyle(document.body).backgroundColor")
            count, low = page.js(CONTRAST)
            assert count > 100
            assert low == []
            for selector in (".contents", ".on-screen"):
                assert page.find(selector).is_displayed() == (kind == "screen")
        assert ground["print", "dark"] == "rgb(255, 255, 255)"  # paper has no dark theme
        assert ground["screen", "dark"] != ground["screen", "light"]
        page.media(prefers_reduced_motion="reduce")  # or a click would hit what still scrolls
        phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        page.command("Emulation.setDeviceMetricsOverride", **phone)
        page.load()
        page.find(".confusion td button").click()
        box = page.js("document.querySelector('.opened:popover-open').getBoundingClientRect()")
        assert 0 <= box["left"] < box["right"] <= 390
        assert page.js("document.documentElement.scrollWidth") == 390
    finally:
        page.leave()
