"""A server with the page and a plain answer for programs, and the page as a person has it."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from fastapi import FastAPI, UploadFile
from fastapi.responses import JSONResponse
from PIL import Image

from cifarlab.predict import Predictor
from cifarlab.runtimes import LOGITS, Exported, ModelInfo
from cifarlab.serve.page import add_page

NAMES = ("airplane", "automobile", "ship", "pickup_truck", "cat", "dog", "frog")
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
SOURCE = {"recipe": "quick", "dataset": "cifar10", "split": "test", "n": 10_000}
SOURCE |= {"accuracy": 0.888, "accuracy_ci95": [0.8817, 0.894], "tta": "flip"}
INFO = ModelInfo(NAMES, 8, "crop", source=SOURCE)


def brightness(images):
    """Logits by a picture's mean: dark is an airplane, white a frog, grey none of these."""
    mean = images.mean(axis=(1, 2, 3)) / 255
    return {LOGITS: np.outer(18 * (0.5 - mean), np.linspace(1, 0, len(NAMES)))}


def make_app(class_names=NAMES, path=Path("grey.onnx"), **options):
    model = Exported(path, INFO, brightness)
    predictor = Predictor(class_names, 8, "crop", 0.5, model, 1.5)
    app = FastAPI()
    add_page(app, predictor, **options)
    return app, predictor


def png(level, kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (level,) * 3).save(buffer, kind)
    return buffer.getvalue()


class Site(NamedTuple):
    """A server under way: where it is, the requests it got, and what to do with the next ones."""

    url: str
    asked: list
    busy: dict


@contextmanager
def stand_in() -> Iterator[Site]:
    """The page, and answers as the server gives them, but busy where told to be."""
    app, predictor = make_app(max_bytes=104_096)
    asked, busy = [], {}

    @app.post("/v1/predict")
    def predict(images: list[UploadFile], view: bool = False, explain: bool = False):
        (image,) = images
        asked.append(SimpleNamespace(file=image.filename, explain=explain, at=time.monotonic()))
        if busy.get(image.filename, 0) > 0:
            busy[image.filename] -= 1
            return JSONResponse({"error": "busy"}, 503, {"Retry-After": busy["seconds"]})
        (answer,) = predictor([image.file.read()])
        further = {"file": image.filename}
        if view:
            scaling = ["whole", "near", "<far>"]
            seen = scaling if image.filename.startswith("views") else scaling[:1]
            further |= {"view": [PIXEL] * len(seen), "scaling": seen}
        if explain:
            further["explanation"] = PIXEL
        found = {"model": {}, "predictions": [answer.to_json() | further]}
        if answer.error:
            return JSONResponse(found | {"error": answer.error}, 422)
        return found

    with serve(app) as url:
        yield Site(url, asked, busy)


@contextmanager
def serve(app) -> Iterator[str]:
    """The address of a server of `app`, at a free port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(5)


class Page:
    """The page in the browser, as a person has it."""

    def __init__(self, browser, site):
        self.browser, self.site = browser, site
        browser.get_log("browser"), browser.get_log("performance")  # what was before is forgotten
        site.asked.clear()
        self.load()

    def leave(self):
        """The browser as it was."""
        self.js("localStorage.clear()")
        self.command("Emulation.clearDeviceMetricsOverride")
        self.command("Emulation.setTouchEmulationEnabled", enabled=False)
        self.media()
        self.browser.get("about:blank")

    def load(self):
        self.browser.get(self.site.url)

    def command(self, name, **parameters):
        return self.browser.execute_cdp_cmd(name, parameters)

    def media(self, **features):
        listed = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.command("Emulation.setEmulatedMedia", features=listed)

    def js(self, program, *arguments):
        return self.browser.execute_script(f"return {program}", *arguments)

    def find(self, selector, index=0):
        return self.every(selector)[index]

    def every(self, selector):
        return self.browser.find_elements("css selector", selector)

    def until(self, condition, seconds=15):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"{self.cards()}, {self.notice()}"
            time.sleep(0.02)
        return found

    def cards(self):
        program = """[...document.querySelectorAll('#answers > ol > li')].map(li => ({
            outcome: li.className, text: li.innerText, title: li.querySelector('h3').innerText}))"""
        return self.js(program)

    def settled(self, count):
        """The cards, once there are so many and each has its answer."""

        def found():
            cards = self.cards()
            done = len(cards) == count and "busy" not in {card["outcome"] for card in cards}
            return cards if done else None

        return self.until(found)

    def notice(self):
        return self.find("#notice").text

    def transfer(self, kind, files=(), text=None):
        """A drop or a paste, as the browser gives it to the page."""
        self.js(
            """(() => {
            const data = new DataTransfer(), [kind, files, text] = arguments;
            for (const [name, bytes] of files)
              data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
            if (text) data.setData('text/plain', text);
            const options = {bubbles: true, cancelable: true};
            document.body.dispatchEvent(kind === 'paste'
              ? new ClipboardEvent(kind, {...options, clipboardData: data})
              : new DragEvent(kind, {...options, dataTransfer: data}));
            })()""",
            kind,
            [(name, list(content)) for name, content in files],
            text,
        )


CONTRAST = """(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {  // what shines through is mixed with what lies under it
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, opacity = 1] = rgb(getComputedStyle(e).backgroundColor);
      layers.push([[r, g, b], opacity]);
      if (opacity === 1) break;
    }
    return layers.reduceRight((under, [colour, opacity]) =>
      colour.map((v, i) => opacity * v + (1 - opacity) * under[i]), [255, 255, 255]);
  };
  const low = [];
  let count = 0;
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility() || element.closest('.unseen, .skip')) continue;
    count += 1;
    const values = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort();
    const contrast = (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
    if (contrast < 4.5) low.push([element.outerHTML.slice(0, 80), contrast]);
  }
  return [count, low];
})()"""
