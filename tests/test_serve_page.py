"""The server's page for people: what it is made of, and driven in Chromium."""

import json
import re
import time
from itertools import pairwise

import numpy as np
import pytest
from fastapi.testclient import TestClient

from cifarlab import bundled
from cifarlab.serve import create_app
from cifarlab.serve.model import ServedModel
from page_driver import CONTRAST, PIXEL, Page, Site, make_app, png, serve, stand_in

HOSTILE = "<img src=x onerror=alert(1)>"

# --- what is served ---


@pytest.fixture
def client():
    return TestClient(make_app()[0])


def test_the_page_loads_its_own_files_and_nothing_else(client):
    page = client.get("/").text
    loaded = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert {"page/page.css", "page/page.js", "page/icon.svg", "page/examples/ship.jpg"} <= {*loaded}
    loaded += [
        f"page/{name}" for name in re.findall(r'"\./(\w+\.js)"', client.get("/page/page.js").text)
    ]
    kinds = {
        "css": "text/css",
        "js": "text/javascript",
        "svg": "image/svg+xml",
        "jpg": "image/jpeg",
    }
    for path in {*loaded} - {"docs"}:
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kinds[path.rpartition(".")[2]])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "https://" not in answer.text or path.endswith("jpg")
    assert client.get("/favicon.ico").headers["Content-Type"] == "image/svg+xml"


def test_policy_and_page_allow_nothing_inline(client):
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.DOTALL) == [""]
    assert not re.search(r"<style|\sstyle=|\son\w+=", answer.text)


def test_a_browser_that_has_the_file_is_told_so(client):
    for path in ("/", "/page/page.css", "/page/examples/cup.jpg"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        other = client.get(path, headers={"If-None-Match": '"older"'})
        assert other.content == first.content


@pytest.mark.parametrize(
    "path", ["index.html", "__init__.py", "..%2f__init__.py", "none.js", "examples/dog.jpg"]
)
def test_no_other_file_is_served(client, path):
    assert client.get(f"/page/{path}").status_code == 404


def test_the_page_says_what_is_true_of_the_model(client):
    text = re.sub(r"\s+", " ", client.get("/").text)
    assert (
        "tells 7 classes apart: airplane, automobile, ship, pickup truck, cat, dog and frog" in text
    )
    assert "looks at 8 × 8 pixels of a picture, and says when" in text
    assert "<dt>accuracy</dt><dd>88.8 % <small>of 10,000 test images right; 95 % interval" in text
    assert "interval 88.2 to 89.4 %; views averaged: flip<" in text
    assert "calibrated" in text


def test_the_limits_of_a_bundled_model_are_those_of_its_card(tmp_path, monkeypatch):
    card = dict.fromkeys(bundled.FIELDS) | {"limits": ["It knows no night.", HOSTILE]}
    (tmp_path / "grey.json").write_text(json.dumps(card))
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    for path, told in ((tmp_path / "grey.onnx", True), (tmp_path / "else" / "grey.onnx", False)):
        page = TestClient(make_app(path=path)[0]).get("/").text
        assert ("It knows no night." in page) == told
        assert HOSTILE not in page


def test_class_names_stay_text_and_foreign_classes_get_no_examples():
    page = TestClient(make_app((HOSTILE, "1"))[0]).get("/").text
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt; and 1" in re.sub(r"\s+", " ", page)
    assert "data-example" not in page


# --- in a browser ---


@pytest.fixture(scope="module")
def site():
    with stand_in() as site:
        yield site


@pytest.fixture
def page(browser, site):
    page = Page(browser, site)
    yield page
    page.leave()


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        paths = []
        for name, content in contents.items():
            paths.append(tmp_path / f"{name}.png")
            paths[-1].write_bytes(content)
        return "\n".join(map(str, paths))

    return write


def test_chosen_files_get_their_answers_and_nobody_else_is_asked(page, files):
    sent = {"dark": png(0), "grey": png(128), "tiff": png(255, kind="TIFF"), "notes": b"no picture"}
    chosen = files(**sent, empty=b"", large=bytes(100_001))
    page.find("#files").send_keys(chosen)
    dark, grey, tiff, notes, empty, large = page.settled(6)
    assert (dark["outcome"], dark["title"]) == ("known", "airplane")
    bars = [page.find(".answer > .bars li", index).text.split() for index in range(3)]
    assert [name for name, *_ in bars] == ["airplane", "automobile", "ship"]
    page.until(lambda: page.js("document.getAnimations().length === 0"))
    widths = page.js(
        """[arguments[0].getBoundingClientRect().width,
            arguments[0].parentElement.getBoundingClientRect().width]""",
        page.find(".answer > .bars i"),
    )
    assert 100 * widths[0] / widths[1] == pytest.approx(float(bars[0][1]), abs=0.2)
    assert "2 more" in dark["text"]
    assert "as the model saw it: whole\n" in dark["text"]
    assert page.find(".view").get_attribute("src") == PIXEL
    assert (grey["outcome"], grey["title"]) == ("unknown", "Probably none of these")
    assert "The closest is" in grey["text"]
    assert (notes["outcome"], notes["title"]) == ("refused", "No answer")
    assert "it is not a JPEG" in notes["text"]
    assert "The file is empty." in empty["text"]
    assert "this server takes 0.1 MB. Make it smaller first." in large["text"]
    assert tiff["title"] == "frog"
    pictures = [each.is_displayed() for each in page.every(".given")]
    assert pictures == [True, True, False, False, False, False]  # those that the browser can show
    assert {each.file for each in page.site.asked} == {f"{name}.png" for name in sent}
    status = page.find("#status").get_attribute("textContent")
    assert status == "2 pictures answered, 1 probably none of the classes, 3 without answer"
    events = [json.loads(e["message"])["message"] for e in page.browser.get_log("performance")]
    urls = {
        each["params"]["request"]["url"]
        for each in events
        if each["method"] == "Network.requestWillBeSent"
    }
    assert any(url.endswith("view=true") for url in urls)
    assert not [url for url in urls if not url.startswith((page.site.url, "data:", "blob:"))]
    complaints = [each["message"] for each in page.browser.get_log("browser")]
    assert ["v1/predict" in each and "422" in each for each in complaints] == [True]  # of notes.png


def test_the_real_server_is_understood(browser, monkeypatch):
    heat = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    monkeypatch.setattr(ServedModel, "heat", lambda *_: heat)  # 82 answers, not looked at here
    with serve(create_app(make_app()[1])) as url:
        page = Page(browser, Site(url, [], {}))
        page.transfer("drop", [("a.png", png(0)), ("b.png", b"no picture")])
        picture, notes = page.settled(2)
        assert (picture["outcome"], picture["title"]) == ("known", "airplane")
        assert "as the model saw it: " in picture["text"]
        assert page.js("arguments[0].naturalWidth", page.find(".view")) == 8
        assert (notes["outcome"], notes["title"]) == ("refused", "No answer")
        assert "Cannot read b.png: it is not a JPEG" in notes["text"]
        page.find(".why").click()
        page.until(page.find(".overlay").is_displayed)
        page.until(lambda: page.js("arguments[0].naturalWidth", page.find(".overlay")))
        page.leave()


def test_pictures_are_dropped_anywhere(page):
    page.transfer("dragenter", [("a.png", b"")])
    assert "dropping" in page.js("document.body.className")
    page.transfer("drop", [("a.png", png(0)), ("b.png", png(255))])
    assert [card["title"] for card in page.settled(2)] == ["airplane", "frog"]
    assert "dropping" not in page.js("document.body.className")
    page.transfer("drop", text="https://example.org/a.png")
    assert "no picture file" in page.notice()
    assert len(page.cards()) == 2
    page.transfer("drop", [(f"{i}.png", b"") for i in range(101)])
    assert "first 100" in page.notice()
    assert len(page.settled(102)) == 102


def test_a_pasted_picture_is_answered_and_its_name_stays_text(page):
    page.transfer("paste", [(f"{HOSTILE}.png", png(255))])
    (card,) = page.settled(1)
    assert card["title"] == "frog"
    assert f"{HOSTILE}.png" in card["text"]
    page.until(lambda: page.find("#status").get_attribute("textContent"))
    assert page.find("#status").get_attribute("textContent").startswith(f"{HOSTILE}.png: frog, ")


def test_all_views_that_the_model_averages_are_shown(page):
    page.transfer("drop", [("views.png", png(0))])
    assert "it: whole. The answer is the mean over this and 2 more:" in page.settled(1)[0]["text"]
    further = page.every(".further img")
    assert [each.get_attribute("src") for each in further] == [PIXEL] * 2
    assert further[1].get_attribute("alt") == "another view: <far>"


def test_everything_is_done_by_the_keyboard(page):
    from selenium.webdriver import Keys

    def press(*keys):
        for key in keys:
            page.browser.switch_to.active_element.send_keys(key)
        return page.browser.switch_to.active_element

    assert press(Keys.TAB).get_attribute("class") == "skip"
    assert press(Keys.TAB).get_attribute("id") == "theme"
    assert press(Keys.TAB).get_attribute("id") == "files"
    label = page.find("label[for=files]")
    assert label.value_of_css_property("outline-style") == "solid"
    page.find("[data-example=ship]").send_keys(Keys.ENTER)
    page.settled(1)
    page.find("[data-example=cup]").send_keys(Keys.SPACE)
    page.settled(2)
    page.find(".remove").send_keys(Keys.ENTER)
    assert page.browser.switch_to.active_element.get_attribute("aria-label") == "Remove ship.jpg"
    press(Keys.ENTER)
    assert page.browser.switch_to.active_element.get_attribute("id") == "files"
    assert not page.find("#answers").is_displayed()
    page.find("[data-example=ship]").send_keys(Keys.ENTER)
    page.settled(1)
    page.find("#clear").send_keys(Keys.ENTER)
    assert page.cards() == []


def test_a_busy_server_is_asked_again_when_it_said(page):
    page.site.busy.update({"later.png": 1, "seconds": "1"})
    page.transfer("drop", [("later.png", png(0))])
    page.until(lambda: "busy; it is asked again in" in page.cards()[0]["text"])
    assert page.cards()[0]["outcome"] == "busy"
    assert page.settled(1)[0]["title"] == "airplane"
    first, second = page.site.asked
    assert 1 <= second.at - first.at < 2


def test_who_gets_no_answer_may_try_again(page):
    page.site.busy.update({"never.png": 8, "seconds": "0"})
    page.transfer("drop", [("never.png", png(0))])
    (card,) = page.settled(1)
    assert "The server is busy. Wait a little" in card["text"]
    assert len(page.site.asked) == 8
    page.find(".again").click()
    assert page.settled(1)[0]["title"] == "airplane"
    page.command("Network.enable")
    page.command("Network.setBlockedURLs", urls=["*v1/predict*"])
    page.transfer("drop", [("b.png", png(0))])
    cards = page.settled(2)
    page.command("Network.setBlockedURLs", urls=[])
    assert "Is it still running?" in cards[0]["text"]
    assert page.find(".again").is_displayed()


def test_a_picture_taken_away_is_not_asked_for_again(page):
    page.site.busy.update({"gone.png": 1, "seconds": "0.5"})
    page.transfer("drop", [("gone.png", png(0))])
    page.until(lambda: page.site.asked)
    page.find(".remove").click()
    time.sleep(0.7)
    assert len(page.site.asked) == 1
    assert page.cards() == []


def test_the_explanation_is_asked_for_when_wanted_and_blends(page):
    from selenium.webdriver import Keys

    page.transfer("drop", [("a.png", png(0))])
    page.settled(1)
    overlay, slider = page.find(".overlay"), page.find(".blend input")
    assert not overlay.is_displayed()
    assert not slider.is_displayed()
    page.site.busy.update({"a.png": 1, "seconds": "0.3"})
    page.find(".why").click()
    page.until(lambda: "it is asked again" in page.find(".legend").text)
    assert "% sure" in page.find(".remark").text
    page.until(overlay.is_displayed)
    assert overlay.get_attribute("src") == PIXEL
    assert "Orange speaks for airplane, blue against it." in page.cards()[0]["text"]
    assert float(overlay.value_of_css_property("opacity")) == 1
    slider.send_keys(Keys.ARROW_LEFT)
    assert float(overlay.value_of_css_property("opacity")) == pytest.approx(0.99)
    page.find(".why").click()
    page.until(lambda: not overlay.is_displayed())
    page.find(".why").click()
    page.until(overlay.is_displayed)
    assert [each.explain for each in page.site.asked] == [False, True, True]


def test_the_camera_gives_a_picture_or_is_closed(page):
    from selenium.webdriver import Keys

    page.find("#camera").click()
    page.until(page.find("#viewfinder .close").is_displayed)
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.find("#viewfinder").is_displayed())
    assert page.cards() == []
    page.find("#camera").click()
    page.until(page.find("#viewfinder .take").is_displayed)
    page.find("#viewfinder .take").click()
    assert "photograph.jpg" in page.settled(1)[0]["text"]
    assert page.js("document.querySelector('video').srcObject") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_legible(page, theme):
    page.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    page.transfer("drop", [("a.png", png(0)), ("b.png", png(128)), ("c.png", b"")])
    page.settled(3)
    count, low = page.js(CONTRAST)
    assert count > 40
    assert low == []
    ground = page.js("getComputedStyle(document.body).backgroundColor")
    assert (np.mean([int(v) for v in re.findall(r"\d+", ground)]) < 128) == (theme == "dark")
    assert page.find(".track i").value_of_css_property("animation-name") == "none"


def test_the_theme_can_be_turned_and_is_remembered(page):
    page.media(prefers_color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.js(ground)
    page.find("#theme").click()
    dark = page.js(ground)
    assert dark != light
    page.load()
    page.until(lambda: page.js(ground) == dark)
    assert page.find("#theme").get_attribute("aria-pressed") == "true"
    page.find("#theme").click()
    assert page.js(ground) == light


def test_who_does_not_see_the_page_is_told_everything(page):
    page.transfer("drop", [("a.png", png(0)), ("b.png", png(128))])
    page.settled(2)
    page.find(".why").click()
    page.until(page.find(".overlay").is_displayed)
    page.command("Accessibility.enable")
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    page.command("Accessibility.disable")
    told = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    for role in (
        "button",
        "link",
        "slider",
        "image",
        "heading",
        "article",
        "region",
        "DisclosureTriangle",
    ):
        names = [name for kind, name in told if kind == role]
        assert names, role
        if role != "image":
            assert all(names), role
    images = [name for kind, name in told if kind == "image"]
    assert "your picture a.png" in images
    assert "the picture as the model sees it, 8 by 8 pixels" in images
    assert ("button", "Remove a.png") in told
    assert ("slider", "Overlay") in told
    assert page.js("[...document.images].every((image) => image.hasAttribute('alt'))")
    headings = [each for each in page.every("h1, h2, h3") if each.is_displayed()]
    levels = [int(each.tag_name[1]) for each in headings]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_all_of_it_and_has_a_camera(page, width):
    page.command("Emulation.setTouchEmulationEnabled", enabled=True)
    page.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=2,
        mobile=True,
    )
    page.load()
    page.transfer("drop", [("a" * 90 + ".png", png(0)), ("b.png", png(128)), ("c.png", b"?")])
    page.settled(3)
    page.find(".why").click()
    assert page.js("document.documentElement.scrollWidth") == width
    assert page.find("label[for=photograph]").is_displayed()
    assert page.find("#photograph").get_attribute("capture") == "environment"
    assert not page.find("#camera").is_displayed()
    pressed = [e for e in page.every("button, .button, [type=range]") if e.is_displayed()]
    assert not [each.text for each in pressed if each.size["height"] < 32]


def test_the_policy_stops_what_somebody_might_slip_in(page):
    page.js("""(() => {
      window.stopped = [];
      addEventListener('securitypolicyviolation', (e) => stopped.push(e.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'window.slipped = true';
      document.body.append(script);
      document.body.setAttribute('style', 'color: red');
      new Image().src = 'http://127.0.0.1:9/a.png';
      fetch('http://127.0.0.1:9/').catch(() => {});
    })()""")
    page.until(lambda: page.js("stopped.length >= 4"))
    assert {*page.js("stopped")} == {"script-src-elem", "style-src-attr", "img-src", "connect-src"}
    assert page.js("window.slipped") is None
    page.browser.get_log("browser")
