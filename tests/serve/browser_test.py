#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""browser_test.py PROGRAM MODEL: the page of `petnet serve` in a real browser: photographs dropped on it are labelled as
`petnet predict` labels them, nothing is complained of, nobody else is asked, and it fits in light and dark and on a phone.

  PETNET_LONG=1 browser_test.py build/release/app/petnet build/release/tests/serve/mounted/pets/1

PETNET_SCREENSHOTS=FOLDER keeps what it looked like."""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import browser  # noqa: E402 (the folder is named above)
import peer_packages  # noqa: E402

PHOTOGRAPHS = os.path.join(os.path.dirname(HERE), "golden", "photographs")
DROPPED = [os.path.join(PHOTOGRAPHS, name) for name in ("pug_16.jpg", "Persian_134.jpg")]
# name: width and height in CSS pixels, colours, a phone
VIEWS = {"wide-light": (1000, 800, "light", False), "wide-dark": (1000, 800, "dark", False),
         "phone-light": (360, 740, "light", True), "phone-dark": (360, 740, "dark", True)}


def drop(page, *files):
    """As from a file manager, on the field for it."""
    x, y = page.evaluate("(r => [r.x + r.width / 2, r.y + r.height / 2])(document.getElementById('drop').getBoundingClientRect())")
    data = {"items": [], "files": list(files), "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        page.call("Input.dispatchDragEvent", type=step, x=x, y=y, data=data)


def answered(page, count):
    page.wait_until(f"document.querySelectorAll('article table, article .problem').length == {count}")


def look(url, expected, setting, screenshot):
    with browser.Page() as page:
        page.view(*setting)
        page.open(url)
        drop(page, *DROPPED)
        answered(page, len(DROPPED))
        labels = page.evaluate("[...document.querySelectorAll('h2')].map(each => each.textContent)")
        assert labels == [expected[file]["label"] for file in reversed(DROPPED)], (labels, expected)
        percent = page.evaluate("document.querySelector('article tr td:last-child').textContent")
        assert percent == f"{100 * expected[DROPPED[-1]]['probability']:.1f}\u00a0%", percent
        bars = page.evaluate("[...document.querySelectorAll('.bar')].map(each => each.getBoundingClientRect().width)")
        classes = len(expected[DROPPED[0]]["probabilities"])
        assert len(bars) == classes * len(DROPPED) and bars[:classes] == sorted(bars[:classes], reverse=True), bars
        assert bars[0] > bars[classes - 1] > 0, bars
        assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
        width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width <= room, f"{width} pixels wide, of {room}"
        assert not page.complaints, page.complaints
        assert page.hosts() == {re.search("//(.*?)/", url)[1]}, page.requests
        page.screenshot(screenshot)
        # What is no photograph is said so; the browser's console tells the status 400.
        drop(page, __file__)
        answered(page, len(DROPPED) + 1)
        problem = page.evaluate("document.querySelector('.problem').textContent")
        assert problem == "not a JPEG, PNG, GIF, BMP, WebP or TIFF image", problem
        assert page.evaluate("document.querySelector('h2').textContent") == "No answer"


def main():
    peer_packages.require_long_run()
    if browser.program() is None:
        peer_packages.skip("there is no Chromium (Debian: apt-get install chromium)")
    petnet, model = sys.argv[1:]
    answers = subprocess.run([petnet, "predict", "--json", "--model", model, *DROPPED], check=True, capture_output=True, text=True)
    expected = {answer["file"]: answer for answer in map(json.loads, answers.stdout.splitlines())}
    server = subprocess.Popen([petnet, "serve", "--port", "0", "--model", model], stdout=subprocess.PIPE, text=True)
    try:
        url = next(re.search(r"http://\S+", line)[0] for line in server.stdout if line.startswith("Serving"))
        with tempfile.TemporaryDirectory() as folder:
            screenshots = os.environ.get("PETNET_SCREENSHOTS", folder)
            os.makedirs(screenshots, exist_ok=True)
            for view, setting in VIEWS.items():
                look(url, expected, setting, os.path.join(screenshots, f"serve-{view}.png"))
                print(view + ": seen")
    finally:
        server.terminate()
    assert server.wait(60) == 0, server.returncode


if __name__ == "__main__":
    main()
