"""A headless Chromium, spoken to over its DevTools pipe: the page as a real browser builds it."""

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


_LEFT = "Inspected target navigated or closed"


class Page:
    """One tab. `size` is in CSS pixels."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._worker = ""  # the registration of the newest service worker

    async def open(
        self,
        url: str,
        *,
        size: tuple[int, int] = (1400, 900),
        color_scheme: str = "light",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Return when the page has been loaded; what scripts fetch comes later. `headers` go with each request."""
        target = await self._call("Target.createTarget", url="about:blank")
        session = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = session["sessionId"]
        width, height = size
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        media = [{"name": "prefers-color-scheme", "value": color_scheme}]
        await self._call("Emulation.setEmulatedMedia", features=media)
        if headers:
            await self._call("Network.enable")
            await self._call("Network.setExtraHTTPHeaders", headers=dict(headers))
        await self._call("Page.enable")
        await self._call("Page.navigate", url=url)
        while (await self._message()).get("method") != "Page.loadEventFired":
            pass

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = await self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def wait_for(self, condition: str, *, seconds: float = 60.0) -> None:
        """Wait until a JavaScript condition holds, looking again whenever the page changes."""
        watch = f"""new Promise((resolve) => {{
            const look = () => ({condition}) && (observer.disconnect(), resolve(true))
            const observer = new MutationObserver(look)
            observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}})
            look()
        }})"""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await self.evaluate(watch)
                    break
                except AssertionError as error:
                    if _LEFT not in str(error):
                        raise
                    await asyncio.sleep(0.05)  # a link was followed: the page that comes is the one to watch

    async def press(self, key: str) -> None:
        """Press a key and let it go; `key` by its name in DOM (`Enter`)."""
        text = {"text": "\r"} if key == "Enter" else {}
        await self._call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=13, **text)
        await self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=13)

    async def allow_notifications(self, origin: str) -> None:
        """As a person does who is asked for it."""
        await self._call("Browser.grantPermissions", origin=origin, permissions=["notifications"])

    async def deliver_push(self, origin: str, data: str) -> None:
        """Have the service worker of the page's origin get a push message, as if a push service had brought it."""
        await self._call("ServiceWorker.enable")
        while not self._worker:
            await self._message()
        await self._call("ServiceWorker.deliverPushMessage", origin=origin, registrationId=self._worker, data=data)

    async def screenshot(self, path: Path) -> None:
        answer = await self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        request = {"id": next(self._ids), "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        self._writer.write(json.dumps(request).encode() + b"\0")
        while True:
            message = await self._message()
            if message.get("id") == request["id"]:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result

    async def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        if message.get("method") == "ServiceWorker.workerRegistrationUpdated":
            registered = [
                each["registrationId"] for each in message["params"]["registrations"] if not each["isDeleted"]
            ]
            self._worker = registered[-1] if registered else ""
        return message


@contextlib.asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Page]:
    """A browser with a new profile; it is gone afterwards. Without Chromium on this machine it fails."""
    program = shutil.which("chromium")
    assert program is not None, "there is no chromium: deploy/servers.sh chromium"
    to_browser, our_writing = os.pipe()
    our_reading, from_browser = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]  # clear of 3 and 4
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        'exec "$0" "$@" 3<&{} 4>&{}'.format(*ends),  # the numbers that Chromium expects
        program,
        *_ARGUMENTS,
        f"--user-data-dir={profile}",
        pass_fds=ends,
        start_new_session=True,
        stderr=asyncio.subprocess.DEVNULL,
    )
    for end in (to_browser, from_browser, *ends):
        os.close(end)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(our_reading, "rb")
    )
    writing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(our_writing, "wb"))
    try:
        yield Page(reader, asyncio.StreamWriter(writing, protocol, None, loop))
    finally:
        writing.close()
        reading.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it has many children
        await process.wait()
