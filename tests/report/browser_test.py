#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""browser_test.py PROGRAM: the report of a training in a real browser, of two classes and of 37: nothing is complained
of or asked for, everything is shown, fits and can be read, in light and dark, on a phone and on paper.

  PETNET_LONG=1 browser_test.py build/release/app/petnet

PETNET_SCREENSHOTS=FOLDER keeps what it looked like."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import browser  # noqa: E402 (the folder is named above)
import peer_packages  # noqa: E402

# name: width and height in CSS pixels, colours, a phone
VIEWS = {"wide-light": (1280, 900, "light", False), "wide-dark": (1280, 900, "dark", False),
         "phone-light": (360, 740, "light", True), "phone-dark": (360, 740, "dark", True)}

# The texts whose contrast with the page is below what WCAG 2 asks for (AA: 4.5 to 1). Numbers within the cells of the
# confusion matrix stand on the cells' colours and are left out.
PALE_TEXTS = """(() => {
    const light = text => {
        const parts = text.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const pale = new Set();
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || element.closest("title, style, .count")) continue;
        const style = getComputedStyle(element);
        const ink = light(element.closest("svg") ? style.fill : style.color);
        const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (contrast < 4.5) pale.add(`${element.textContent}: ${contrast.toFixed(2)}`);
    }
    return [...pale];
})()"""

# The texts that are set in less than 9 pixels, as they are shown.
TINY_TEXTS = """[...document.querySelectorAll("svg text")].filter(text => {
    const scale = text.ownerSVGElement.getScreenCTM().a;
    return parseFloat(getComputedStyle(text).fontSize) * scale < 9;
}).map(text => text.textContent)"""


failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("failed: " + what)


def look(report, name, screenshots):
    for view, setting in VIEWS.items():
        with browser.Page() as page:
            page.view(*setting)
            url = "file://" + report
            page.open(url)
            where = f"{name}, {view}: "
            check(not page.complaints, where + str(page.complaints))
            others = [each for each in page.requests if each != url and not each.startswith("data:")]
            check(not others, where + f"asked for {others}")
            check(page.evaluate("document.querySelectorAll('svg.petnet-chart').length") == 4, where + "four charts")
            check(page.evaluate("[...document.querySelectorAll('svg')].every(each => each.getBBox().width > 100)"),
                  where + "an empty chart")
            check(page.evaluate("""[...document.querySelectorAll('svg.petnet-chart')].every(each =>
                each.getBoundingClientRect().right <= each.parentElement.getBoundingClientRect().right + 0.5)"""),
                  where + "a chart that is cut off")
            check(page.evaluate("[...document.images].length == 12 && [...document.images].every(i => i.naturalWidth > 0)"),
                  where + "twelve photographs")
            width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            check(width <= room, where + f"{width} pixels wide, of {room}")
            pale, tiny = page.evaluate(PALE_TEXTS), page.evaluate(TINY_TEXTS)
            check(not pale, where + f"too little contrast: {pale}")
            check(not tiny, where + f"too small: {tiny}")
            page.screenshot(os.path.join(screenshots, f"{name}-{view}.png"))
            if view == "wide-dark":  # on paper it is light all the same
                page.pdf(os.path.join(screenshots, f"{name}.pdf"))
            print(where + "seen")


def main():
    peer_packages.require_long_run()
    if browser.program() is None:
        peer_packages.skip("there is no Chromium (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        screenshots = os.environ.get("PETNET_SCREENSHOTS", folder)
        os.makedirs(screenshots, exist_ok=True)
        for name, labels in {"pets": "cat-dog", "breeds": "breed"}.items():
            output = os.path.join(folder, name)
            subprocess.run([sys.argv[1], "train", "--labels", labels, "--size", "64", "--batch-size", "16", "--epochs", "2",
                            "--output", output, "--logs", "none", "--quiet"], check=True, stdout=subprocess.DEVNULL)
            look(os.path.join(output, "report.html"), name, screenshots)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
