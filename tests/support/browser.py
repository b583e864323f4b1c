# SPDX-License-Identifier: Apache-2.0
"""A page in a headless Chromium, driven by its DevTools protocol through a pipe: nothing to install but the browser.

    with browser.Page() as page:
        page.view(390, 844, scheme="dark")
        page.open("http://127.0.0.1:8000/")
        assert page.evaluate("document.title") == "petnet"
        assert not page.complaints and page.hosts() == {"127.0.0.1:8000"}"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import urllib.parse

# No host but this machine's has a name or a way to it; and no page of the browser's own asks for updates.
OPTIONS = [
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--no-proxy-server",
    "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]


def program():
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


class Page:
    """The one page of a browser of its own. What it complained of is in `complaints`, what it asked for in `requests`."""

    def __init__(self, limit=60):
        self.complaints, self.requests = [], []
        self._limit, self._number, self._session, self._unread = limit, 0, None, b""
        self._profile = tempfile.TemporaryDirectory()
        options = [*OPTIONS, "--user-data-dir=" + self._profile.name]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # which refuses to work for root
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()

        def as_3_and_4():  # where Chromium looks for them
            spare = [os.dup(from_us), os.dup(to_us)]
            while min(spare) < 5:
                spare = [os.dup(each) for each in spare]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        # What it says is about the machine, not about the page.
        self._process = subprocess.Popen([program(), *options, "about:blank"], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
                                         preexec_fn=as_3_and_4, env=dict(os.environ, HOME=self._profile.name))
        os.close(from_us)
        os.close(to_us)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"]:
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session = None
        self.call("Browser.close")
        self._process.wait(self._limit)
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method, **parameters):
        """A command of the DevTools protocol; its answer. What happened until then is recorded."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._read(lambda each: each.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url):
        """Goes there, and waits until all that belongs to the page is there."""
        result = self.call("Page.navigate", url=url)
        if "errorText" in result:
            raise RuntimeError(f"{url}: {result['errorText']}")
        self._read(lambda each: each.get("method") == "Page.loadEventFired")
        self.evaluate("new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)))")

    def evaluate(self, script):
        """The value of a JavaScript expression, of a promise when it is kept."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_until(self, script):
        """Until a JavaScript expression is true."""
        end = time.monotonic() + self._limit
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise RuntimeError(f"{script}: not within {self._limit} s")
            time.sleep(0.05)

    def view(self, width, height, scheme="light", mobile=False):
        """The size of the window in CSS pixels, and what the reader prefers: light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        """The whole page as a PNG, however long."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        self._save(path, self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip))

    def pdf(self, path):
        """The page as it is printed, on A4."""
        self._save(path, self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False))

    def hosts(self):
        """Of all that was asked for; files and what lies in the page itself have none."""
        return {urllib.parse.urlsplit(each).netloc for each in self.requests if not each.startswith("data:")} - {""}

    @staticmethod
    def _save(path, answer):
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def _read(self, wanted):
        """The first message that is `wanted`, of those that came since the last one."""
        end = time.monotonic() + self._limit
        while True:
            while b"\0" in self._unread:
                text, self._unread = self._unread.split(b"\0", 1)
                message = json.loads(text)
                self._record(message)
                if wanted(message):
                    return message
            if not select.select([self._from], [], [], max(0, end - time.monotonic()))[0]:
                raise RuntimeError(f"Chromium did not answer within {self._limit} s")
            read = os.read(self._from, 1 << 20)
            if not read:
                raise RuntimeError("Chromium ended")
            self._unread += read

    def _record(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(parameters["entry"]))
