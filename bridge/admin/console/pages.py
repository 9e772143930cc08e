"""The pages of the console: a frame that they share, and the content of each; two have the form of a send, two the row of a
rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bridge.admin.rest import REST

_DIRECTORY = Path(__file__).parent
_LIVE = '\n    <p id="connection" class="connection" data-state="connecting">connecting</p>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`name` is that of its files and `link` what leads to it at `path`; `start` is the element where its content,
    `what`, begins. A live page shows its connection to the daemon."""

    path: str
    name: str
    script: str
    link: str
    title: str
    claim: str
    what: str
    start: str = "content"
    styles: Sequence[str] = ()
    is_live: bool = False
    below: str = ""
    """Where the page shows one thing, below its path."""

    @property
    def paths(self) -> Sequence[str]:
        """Where the page is served."""
        return (self.path, self.path + self.below) if self.below else (self.path,)


PAGES = (
    Page(
        path="/",
        name="index",
        script="console",
        link="Events",
        title="pushbridge",
        claim="The way of each event, from the system it came from to the screen it was for",
        what="events",
        start="events",
        styles=("phones",),
        is_live=True,
    ),
    Page(
        path="/events",
        name="events",
        script="events",
        link="Journal",
        title="Journal: pushbridge",
        claim="Why a push came, or did not, for as long as its event is kept",
        what="journal",
        styles=("pages", "rule_rows", "phones", "looks", "events"),
        below=f"/{{id:{REST}}}",
    ),
    Page(
        path="/hubs",
        name="hubs",
        script="hubs",
        link="Hubs",
        title="Hubs: pushbridge",
        claim="Who is registered at each hub, and how its push services fare",
        what="hubs",
        styles=("pages", "charts", "hubs"),
        below=f"/{{id:{REST}}}",
    ),
    Page(
        path="/devices",
        name="devices",
        script="devices",
        link="Devices",
        title="Devices: pushbridge",
        claim="What a phone has registered, what it was sent, and what became of that",
        what="devices",
        styles=("pages", "send_form", "phones", "looks", "devices"),
        below=f"/{{id:{REST}}}",
    ),
    Page(
        path="/sends",
        name="sends",
        script="sends",
        link="Sends",
        title="Sends: pushbridge",
        claim="What was sent, whom a send would reach, and what waits for an approval",
        what="sends",
        styles=("pages", "send_form", "sends"),
        below=f"/{{id:{REST}}}",
    ),
    Page(
        path="/silences",
        name="silences",
        script="silences",
        link="Silences",
        title="Silences: pushbridge",
        claim="What is held or dropped for a while, and why",
        what="silences",
        styles=("pages", "review", "send_form", "silences"),
    ),
    Page(
        path="/playground",
        name="playground",
        script="playground",
        link="Playground",
        title="Playground: pushbridge",
        claim="What an event would do by a draft of the rules",
        what="playground",
        styles=("pages", "rule_rows", "phones", "looks", "playground"),
    ),
    Page(
        path="/dead-letters",
        name="dead_letters",
        script="dead_letters",
        link="Dead letters",
        title="Dead letters: pushbridge",
        claim="What could not become a notification, until it is replayed or dropped",
        what="dead letters",
        styles=("pages", "review", "dead_letters"),
        below="/{id}",
    ),
)


def page_text(page: Page) -> str:
    """The page as HTML."""
    return Template(_read("frame.html")).substitute(
        title=page.title,
        claim=page.claim,
        what=page.what,
        start=page.start,
        script=page.script,
        styles="\n  ".join(f'<link rel="stylesheet" href="/{name}.css">' for name in ("console", *page.styles)),
        links="\n      ".join(_link(each, is_here=each is page) for each in PAGES),
        live=_LIVE if page.is_live else "",
        content=Template(_read(f"{page.name}.html")).substitute(
            send_form=_read("send_form.html"), rule_row=_read("rule_row.html")
        ),
    )


def _link(page: Page, *, is_here: bool) -> str:
    here = ' aria-current="page"' if is_here else ""
    return f'<a href="{page.path}"{here}>{page.link}</a>'


def _read(name: str) -> str:
    return (_DIRECTORY / name).read_text(encoding="utf-8")
