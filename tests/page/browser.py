"""Headless Chromium through its DevTools protocol, over a pipe: nothing but the standard library is needed."""

import base64
import json
import os
import shutil
import subprocess
import time

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--mute-audio"),
    "--disable-component-update",
)


def found():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, CANDIDATES)), None)


class Browser:
    """One page in a browser of its own, whose requests are all noted."""

    def __init__(self, folder, width=1280, height=900):
        down, self.write = os.pipe()
        self.read, up = os.pipe()
        command = [found(), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"]
        shell = ["bash", "-c", f'exec "$@" 3<&{down} 4>&{up}', "browser", *command, "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(shell, pass_fds=(down, up), **quiet)
        os.close(down), os.close(up)
        self.count, self.rest, self.events = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(width, height)
        place = {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", **place)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def call(self, method, **params):
        """Call a method of the protocol; return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if getattr(self, "session", None) and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def next(self):
        while b"\0" not in self.rest:
            piece = os.read(self.read, 2**20)
            if not piece:
                raise RuntimeError("the browser ended")
            self.rest += piece
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def open(self, path):
        """Open a file and wait until everything in it is drawn; return the seconds until its diagrams were."""
        begun = time.perf_counter()
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.until("document.body && ['drawn', 'ready', 'failed'].includes(document.body.dataset.state)")
        drawn = time.perf_counter() - begun
        self.until("['ready', 'failed'].includes(document.body.dataset.state)")
        return drawn

    def until(self, condition, seconds=60):
        """Wait until an expression is true in the page."""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise AssertionError(f"never so: {condition}; {self.errors()}")
            time.sleep(0.02)

    def value(self, expression):
        """Return the value of an expression in the page; promises are awaited."""
        told = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise AssertionError(told["exceptionDetails"].get("exception", {}).get("description", told))
        return told["result"].get("value")

    def click(self, x, y, shift=False):
        at = {"x": x, "y": y, "button": "left", "clickCount": 1, "modifiers": 8 if shift else 0}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def key(self, name):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def picture(self, path, whole=True):
        """Save a picture of the page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def requests(self):
        """Return the addresses of all that was asked for."""
        self.value("1")
        asked = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in asked]

    def errors(self):
        """Return what went wrong in the page."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [str(e["params"]) for e in self.events if e.get("method") in kinds]

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.write), os.close(self.read)
