"""The channel `apprise`: over a hundred networks by their Apprise URLs (https://github.com/caronc/apprise).

Apprise blocks, so each send has a thread. Of a failure it tells no more than that it was one: whether the network has
the message is then unknown, and a person decides.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.ports import Clock
from schemas.due import DueMessage
from schemas.message import SECRET_MARK, body_bytes
from schemas.outcomes import Delivered, Outcome, Rejected, RetryLater

if find_spec("apprise") is None:
    raise ModuleNotFoundError("No module named 'apprise'", name="apprise")  # it is imported when it is started: 0.4 s

OWN_SHARE = 0.8
"""Of the time limit, for Apprise to end by itself."""
FORMATS = {"text/html": "html", "text/markdown": "markdown"}


class AppriseChannel:
    """Only networks whose schemes are allowed: others could be made to ask any server that the courier reaches."""

    name = "apprise"
    honours_key = False
    concurrency = 16

    def __init__(self, settings: ChannelSettings, clock: Clock) -> None:  # noqa: ARG002  every factory is called so
        self.delays_ms = settings.delays_ms
        self.timeout_ms = settings.apprise_timeout_ms
        self._allowed = frozenset(settings.apprise_schemes)
        self._secrets = settings.secrets
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Threads of its own: slow networks hold up nobody else."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="apprise")

    async def send(self, message: DueMessage) -> Outcome:
        """One notification."""
        if self._threads is None:
            return RetryLater(reason="the apprise channel is not started")
        url = message.to
        if url.startswith(SECRET_MARK):
            name = url.removeprefix(SECRET_MARK)
            found = self._secrets(name)
            if found is None:
                return RetryLater(
                    reason=f"this courier has no secret {name[:100]!r}: set CLEPSYDRA_SECRET_{name[:100]} for it"
                )
            url = found
        scheme = url.partition("://")[0].lower()
        if scheme not in self._allowed:
            known = ", ".join(sorted(self._allowed)) or "none"
            return Rejected(
                reason=f"{scheme[:40]!r} is not among the schemes that CLEPSYDRA_APPRISE_SCHEMES allows ({known})"
            )
        try:
            text = body_bytes(message.body, message.body_base64).decode()
        except ValueError as fault:
            return Rejected(reason=f"the body is no text: {fault}"[:300])
        limit_s = self.timeout_ms / 1_000 * OWN_SHARE
        sending = asyncio.get_running_loop().run_in_executor(self._threads, _notify, url, text, message, limit_s)
        return await sending

    async def stop(self) -> None:
        """What is under way ends by itself."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def _notify(url: str, text: str, message: DueMessage, timeout_s: float) -> Outcome:
    from apprise import Apprise  # noqa: PLC0415  0.4 s that only a courier pays

    sender: Any = Apprise()
    if not sender.add(url):
        return Rejected(reason="Apprise does not know this URL: see https://github.com/caronc/apprise for its form")
    title = next((value for name, value in message.headers.items() if name.lower() in ("subject", "title")), "")
    kind = FORMATS.get((message.content_type or "").partition(";")[0].strip(), "text")
    if sender.notify(body=text, title=title, body_format=kind, timeout=timeout_s):
        return Delivered()
    return RetryLater(reason="the network did not take it, or did not answer", maybe_sent=True)


def _missing(settings: ChannelSettings) -> str:
    if settings.apprise_schemes:
        return ""
    return "set CLEPSYDRA_APPRISE_SCHEMES to the networks that may be used, as slack,tgram,discord"


CHANNEL = ChannelFactory("apprise", AppriseChannel, settings=("apprise_schemes",), missing=_missing)
