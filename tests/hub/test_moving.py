"""Bringing over another hub's registrations: its list, what cannot move, and the file that a killed run goes on from."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.errors import InvalidRequestError, RemoteError, RemoteRefusedError, RemoteUnreachableError, StoreError
from hub.moving.found import Found, found_in, thing_of
from hub.moving.listing import Listing
from hub.moving.spool import Spool

SETTINGS = RemoteSettings(endpoint="https://ns.example", hub="app", key_name="Full", key="k")
NAMESPACE = 'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'


def described(id: str, tags: str = "", *, name: str = "Apple", inner: str = "<DeviceToken>AA</DeviceToken>") -> str:
    return (
        f"<{name}RegistrationDescription {NAMESPACE}><RegistrationId>{id}</RegistrationId><Tags>{tags}</Tags>{inner}"
        f"</{name}RegistrationDescription>"
    )


def feed(*descriptions: str) -> bytes:
    entries = "".join(f'<entry><content type="application/xml">{each}</content></entry>' for each in descriptions)
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Registrations</title>{entries}</feed>'.encode()


class Remote:
    """Answers one after another, and the last again and again; keeps what it was asked and what was waited."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.URL] = []
        self.waited: list[float] = []
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request.url)
            found = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(found, Exception):
                raise found
            return found

        self.api = RemoteApi(SETTINGS, clock=lambda: 1_800_000_000.0)
        self.api._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        self.listing = Listing(self.api, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def listed(self) -> list[str]:
        return [found_in(each).id async for page in self.listing.pages() for each in page.descriptions]


async def test_a_list_is_read_page_by_page_by_its_token() -> None:
    first = httpx.Response(200, content=feed(described("1-1-1")), headers={"x-ms-continuationtoken": "Mz%3D"})
    remote = Remote(first, httpx.Response(200, content=feed(described("2-2-1"))))
    assert await remote.listed() == ["1-1-1", "2-2-1"]
    assert [dict(url.params) for url in remote.asked] == [
        {"api-version": "2020-06", "$top": "100"},
        {"api-version": "2020-06", "$top": "100", "continuationtoken": "Mz%3D"},
    ]


@pytest.mark.parametrize(
    ("answer", "waited"),
    [
        (httpx.Response(429, headers={"retry-after": "17"}), 17.0),
        (httpx.Response(503, headers={"retry-after": "2"}), 2.0),
        (httpx.Response(403, headers={"retry-after": "9"}), 9.0),
        (httpx.Response(503), 1.0),
        (httpx.ConnectError("refused"), 1.0),
        (httpx.ReadTimeout("late"), 1.0),
    ],
)
async def test_a_hub_that_is_busy_is_asked_again_when_it_says(
    answer: httpx.Response | Exception, waited: float
) -> None:
    remote = Remote(answer, httpx.Response(200, content=feed(described("1-1-1"))))
    assert await remote.listed() == ["1-1-1"]
    assert remote.waited == [waited]


async def test_a_hub_that_stays_away_is_given_up_with_its_words() -> None:
    remote = Remote(httpx.Response(503, content=b"<Error><Code>503</Code><Detail>Busy.TrackingId:1</Detail></Error>"))
    with pytest.raises(RemoteUnreachableError, match=r"https://ns\.example is busy: HTTP 503: Busy"):
        await remote.listed()
    assert remote.waited == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(401), RemoteRefusedError, "refuses the key of the policy 'Full'"),
        (httpx.Response(403), RemoteRefusedError, "the right Manage"),
        (httpx.Response(404), RemoteRefusedError, "there is no hub 'app' at https://ns.example"),
        (httpx.Response(400), RemoteError, "answers HTTP 400"),
        (httpx.Response(302), RemoteError, "answers HTTP 302"),
        (httpx.Response(200, content=b"<html>"), RemoteError, "no Atom feed"),
        (httpx.Response(200, content=b"<entry/>"), RemoteError, "no Atom feed, its root is 'entry'"),
    ],
)
async def test_what_cannot_be_listed_is_told_at_once(
    answer: httpx.Response, error: type[RemoteError], words: str
) -> None:
    remote = Remote(answer)
    with pytest.raises(error, match=words):
        await remote.listed()
    assert remote.waited == []


@pytest.mark.parametrize("tokens", ["a", "aba", "abcb"])
async def test_a_list_that_names_a_page_again_ends(tokens: str) -> None:
    pages = [httpx.Response(200, content=feed(), headers={"x-ms-continuationtoken": token}) for token in tokens]
    with pytest.raises(RemoteError, match="names the same page again"):
        await Remote(*pages).listed()


def test_gcm_becomes_fcm_v1() -> None:
    native = described("1-1-1", name="Gcm", inner="<GcmRegistrationId>t</GcmRegistrationId>")
    (registration,) = thing_of([found_in(native)]).registrations
    assert registration.platform.value == "fcmv1"


def test_an_installation_is_put_together_from_its_tags() -> None:
    tags = "$InstallationId:{i1},$UserId:{u1},news"
    inner = "<DeviceToken>AA</DeviceToken><BodyTemplate>{}</BodyTemplate><TemplateName>greet</TemplateName>"
    template = described("2-2-1", f"{tags},own,greet", name="AppleTemplate", inner=inner)
    thing = thing_of([found_in(template), found_in(described("1-1-1", tags))])
    assert thing.key == "i:i1"
    assert thing.said == (
        '{"expirationTime":"9999-12-31T23:59:59.9999999Z","installationId":"i1","platform":"apns","pushChannel":"AA",'
        '"tags":["news"],"templates":{"greet":{"body":"{}","tags":["own","greet"]}},"userId":"u1"}'
    )


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (described("1-1-1", name="Unheard"), "Unknown description"),
        (described("1-1-1", "bad tag!"), "not allowed: 'bad tag!'"),
        (described("1-1-1", inner="<DeviceToken>no hex</DeviceToken>"), "hex"),
        (described("1-1-1", "$InstallationId:{i},bad tag!"), "not allowed: 'bad tag!'"),
    ],
)
def test_what_cannot_move_says_why(description: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        thing_of([found_in(description)])


@pytest.fixture
def spooled(tmp_path: Path) -> Callable[[], Spool]:
    return lambda: Spool(tmp_path / "progress", source="https://ns.example/app")


def found(id: str, owner: str = "", description: str = "x") -> Found:
    return Found(id, owner, description)


def test_a_spool_goes_on_where_a_killed_run_ended(spooled: Callable[[], Spool]) -> None:
    with spooled() as spool:
        spool.add([found("1"), found("3", "i1")], token="next")
    with spooled() as spool:
        assert (spool.token, spool.is_listed, spool.found_count) == ("next", False, 2)
        spool.add([found("3", "i1", "newer"), found("2", "i1")], token="")
        assert spool.is_listed
        assert list(spool.things()) == [[found("1")], [found("2", "i1"), found("3", "i1", "newer")]]
        spool.take([("i:i1", "said", "added", "")])
    with spooled() as spool:
        assert list(spool.things()) == [[found("1")]]
        spool.take([("r:1", "", "refused", "why")])
        assert (spool.answers(), spool.reasons(9)) == ({"added": 1, "refused": 1}, [("r:1", "why")])
        spool.end()
    with spooled() as spool:  # another round: all is listed anew, and what was taken is known
        assert (spool.token, spool.is_listed, spool.found_count, spool.was("i:i1")) == ("", False, 0, "said")
        spool.add([found("2", "i1")], token="")
        assert len(list(spool.things())) == 1


def test_an_installation_is_whole_though_its_registrations_are_read_in_parts(spooled: Callable[[], Spool]) -> None:
    with spooled() as spool:
        each = [found(f"{number:05}", f"i{number // 3:05}") for number in range(5000)]
        spool.add(each, token="")
        things = list(spool.things())
        assert [one for thing in things for one in thing] == each
        assert {len(thing) for thing in things[:-1]} == {3}


def test_a_spool_of_another_import_is_refused(tmp_path: Path, spooled: Callable[[], Spool]) -> None:
    with spooled() as spool:
        spool.add([], token="next")
    with pytest.raises(StoreError, match=r"is of an import from https://ns\.example/app, not from"):
        Spool(tmp_path / "progress", source="https://ns.example/other").__enter__()
    (tmp_path / "none").write_text("no database at all, but a text that is long enough to be looked at\n" * 9)
    with pytest.raises(StoreError, match="cannot be used"):
        Spool(tmp_path / "none", source="x").__enter__()
