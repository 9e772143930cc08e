"""Import and export jobs: cases 128 to 130 of the wire contract and its section 10.4, against a blob service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from starlette.responses import Response

from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.egress import Egress
from hub.errors import BlobError
from hub.jobs.settings import JobSettings
from hub.moving import exporting
from hub.tls import Tls
from sandbox.blobs import BlobService
from sandbox.tls import Authority
from tests.fakes.clock import FakeClock
from tests.hub.api.conformance.conftest import hub_at_work, signed
from tests.hub.api.serving import serving
from tests.hub.api.signing import KEY

NAMESPACES = (
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
    ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
)
ARRAYS = "{http://schemas.microsoft.com/2003/10/Serialization/Arrays}"
LATER = datetime.now(UTC) + timedelta(days=1)


@dataclass(slots=True)
class Jobs:
    """A client of the API and the blobs that its jobs use; the container `box` is there."""

    client: httpx.AsyncClient
    blobs: BlobService
    url: str
    ca_file: Path

    def place(self, name: str = "", rights: str = "rcwl") -> str:
        path = f"box/{name}" if name else "box"
        return f"{self.url}/{path}?{self.blobs.signature('box', rights=rights, until=LATER)}"

    async def submit(self, type_: str, *, output: str | None = None, imported: str = "") -> httpx.Response:
        """`imported` is the name of the import file."""
        uri = f"<ImportFileUri><![CDATA[{self.place(imported)}]]></ImportFileUri>" if imported else ""
        output = self.place() if output is None else output
        body = (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
            f"<NotificationHubJob {NAMESPACES}><Type>{type_}</Type>"
            f"<OutputContainerUri><![CDATA[{output}]]></OutputContainerUri>{uri}</NotificationHubJob></content></entry>"
        )
        headers = {"Content-Type": "application/atom+xml;type=entry;charset=utf-8"}
        return await self.client.post("/h1/jobs", content=body, headers=headers)

    async def ended(self, submitted: httpx.Response) -> dict[str, str]:
        assert submitted.status_code == 201, submitted.text
        while (job := members((await self.client.get(submitted.headers["location"])).text)).get("Status") not in (
            "Completed",
            "Failed",
        ):
            await asyncio.sleep(0.005)
        return job

    async def imported(self, type_: str, *lines: str) -> tuple[list[str], list[str]]:
        """What stands in both files after an import of these lines."""
        self.blobs.put("box", "in.txt", "\n".join(lines).encode())
        job = await self.ended(await self.submit(type_, imported="in.txt"))
        assert job["Status"] == "Completed", job
        return self.file(job, "Output.txt"), self.file(job, "Failed.txt")

    def file(self, job: dict[str, str], name: str) -> list[str]:
        content = self.blobs.content("box", f"/h1/{job['JobId']}/{name}")
        assert content is not None, self.blobs.names("box")
        return content.decode().splitlines()

    async def registrations(self) -> dict[str, etree._Element]:
        feed = etree.fromstring((await self.client.get("/h1/registrations")).content)
        return {str(each.findtext("{*}RegistrationId")): each for each in feed.iterfind("{*}entry/{*}content/{*}*")}


def members(text: str) -> dict[str, str]:
    found = etree.fromstring(text.encode()).find("{*}content/{*}NotificationHubJob")
    assert found is not None
    return {etree.QName(each).localname: each.text or "" for each in found}


def apple(token: str, *, id: str = "", tags: str = "") -> str:
    inner = f"<RegistrationId>{id}</RegistrationId>" if id else ""
    inner += f"<Tags>{tags}</Tags>" if tags else ""
    return (
        f"<AppleRegistrationDescription {NAMESPACES}>{inner}<DeviceToken>{token}</DeviceToken>"
        "</AppleRegistrationDescription>"
    )


@asynccontextmanager
async def jobs_of(directory: Path, authority: Authority, blobs: BlobService, port: int) -> AsyncIterator[Jobs]:
    """Over the store of `directory`, while `blobs` are served on `port`."""
    clock = FakeClock()
    settings = JobSettings(hosts=("localhost",), tls=Tls(ca_file=authority.ca_file))
    async with (
        hub_at_work(directory / "hub.db", clock, jobs=settings) as at_work,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(at_work.app),
            base_url="https://ns.example",
            headers={"Authorization": signed("full", clock)},
        ) as client,
    ):
        yield Jobs(client, blobs, f"https://localhost:{port}", authority.ca_file)


@pytest.fixture
def blobs() -> BlobService:
    service = BlobService()
    service.containers.add("box")
    return service


@pytest.fixture
async def jobs(tmp_path: Path, blobs: BlobService) -> AsyncIterator[Jobs]:
    authority = Authority(tmp_path)
    async with serving(authority, blobs) as port, jobs_of(tmp_path, authority, blobs, port) as jobs:
        yield jobs


async def test_128_a_job_is_submitted_read_and_listed(jobs: Jobs) -> None:
    submitted = await jobs.submit("ExportRegistrations")
    assert submitted.status_code == 201
    job = members(submitted.text)
    assert submitted.headers["location"] == f"https://ns.example/h1/jobs/{job['JobId']}?api-version=2020-06"
    assert submitted.headers["content-type"] == "application/atom+xml; type=entry; charset=utf-8"
    assert list(job) == ["JobId", "Type", "OutputContainerUri", "CreatedAt", "UpdatedAt"]
    assert job["OutputContainerUri"] == jobs.place()
    got = await jobs.client.get(f"/h1/jobs/{job['JobId']}")
    assert (got.status_code, members(got.text)["JobId"]) == (200, job["JobId"])
    feed = etree.fromstring((await jobs.client.get("/h1/jobs")).content)
    assert [each.text for each in feed.iterfind("{*}entry/{*}title")] == [job["JobId"]]
    assert feed.findtext("{*}title") == "jobs"
    assert (await jobs.client.get("/h1/jobs/nothing")).status_code == 404
    assert (await jobs.client.get(f"/short/jobs/{job['JobId']}")).status_code == 404
    await jobs.ended(submitted)


async def test_129_an_export_writes_each_registration_a_line_and_its_end_says_where(jobs: Jobs) -> None:
    await jobs.client.put("/h1/installations/i1", json={"platform": "apns", "pushChannel": "AA01", "tags": ["t"]})
    body = '<toast>\n<text id="$(m)">a &lt;</text>\n</toast>'
    described = (
        f"<WindowsTemplateRegistrationDescription {NAMESPACES}><Tags>a,b</Tags><ChannelUri>https://wns/1</ChannelUri>"
        f"<BodyTemplate><![CDATA[{body}]]></BodyTemplate><TemplateName>t</TemplateName>"
        "</WindowsTemplateRegistrationDescription>"
    )
    put = await jobs.client.put("/h1/registrations/1-2-3", content=f"<entry><content>{described}</content></entry>")
    assert put.status_code == 200, put.text
    submitted = await jobs.submit("ExportRegistrations")
    job = await jobs.ended(submitted)
    assert [job[name] for name in ("Status", "Progress")] == ["Completed", "100"]
    assert "sig=" not in job["OutputContainerUri"]
    lines = jobs.file(job, "Output.txt")
    found = {str(each.findtext("{*}RegistrationId")): each for each in map(etree.fromstring, lines)}
    assert len(lines) == len(await jobs.registrations()) == 2
    assert found["1-2-3"].findtext("{*}BodyTemplate") == body
    assert jobs.file(job, "Failed.txt") == []
    text = (await jobs.client.get(submitted.headers["location"])).text
    assert "<OutputProperties xmlns:d3p1=" in text
    assert "<d3p1:Key>" in text
    pairs = etree.fromstring(text).iterfind(f".//{ARRAYS}KeyValueOfstringstring")
    files = {each.findtext(f"{ARRAYS}Key"): each.findtext(f"{ARRAYS}Value") for each in pairs}
    assert files == {
        "OutputFilePath": f"{jobs.url}/box//h1/{job['JobId']}/Output.txt",
        "FailedFilePath": f"{jobs.url}/box//h1/{job['JobId']}/Failed.txt",
    }
    # What was exported can be imported into another hub, as it is.
    await jobs.client.delete("/h1/registrations/1-2-3")
    assert await jobs.imported("ImportCreateRegistrations", lines[1]) == (["1,1-2-3"], [])
    (template,) = [each for id, each in (await jobs.registrations()).items() if id == "1-2-3"]
    assert template.findtext("{*}BodyTemplate") == body


async def test_130_a_job_says_where_its_output_goes_and_an_import_where_its_input_is(jobs: Jobs) -> None:
    for answer, detail in (
        (await jobs.submit("ExportRegistrations", output=""), "OutputContainerUri is missing"),
        (await jobs.submit("ImportCreateRegistrations"), "ImportFileUri is missing"),
        (await jobs.submit("Nothing"), "Type: expected one of ExportRegistrations"),
        (await jobs.submit("ExportRegistrations", output="https://other.example/box"), "none of those that jobs may"),
        (await jobs.client.post("/h1/jobs", content="<entry/>"), "Atom entry"),
    ):
        assert answer.status_code == 400
        assert detail in answer.text


@pytest.mark.parametrize("policy", ["listen", "send"])
async def test_jobs_need_the_right_manage(jobs: Jobs, policy: str) -> None:
    jobs.client.headers["Authorization"] = signed(policy, FakeClock())
    for answer in (
        await jobs.submit("ExportRegistrations"),
        await jobs.client.get("/h1/jobs"),
        await jobs.client.get("/h1/jobs/1"),
    ):
        assert answer.status_code == 403


async def test_an_import_creates_updates_upserts_and_deletes_and_says_what_failed(jobs: Jobs) -> None:
    done, failed = await jobs.imported(
        "ImportCreateRegistrations",
        "\ufeff" + apple("AA01", id="1-1-1"),
        "",
        apple("aa02"),
        apple("AA03", tags="bad tag!"),
    )
    assert [line.partition(",")[0] for line in done] == ["1", "3"]
    assert failed[0].startswith("4,,Tags: not allowed: 'bad tag!'")
    assert {each.findtext("{*}DeviceToken") for each in (await jobs.registrations()).values()} == {"AA01", "AA02"}
    done, failed = await jobs.imported("ImportCreateRegistrations", apple("AA09", id="1-1-1"), "no xml", "<b/>")
    assert done == []
    assert [line.split(",")[:2] for line in failed] == [["2", ""], ["3", ""], ["1", "1-1-1"]]
    assert failed[-1] == "1,1-1-1,registration '1-1-1' exists"
    assert await jobs.imported(
        "ImportUpdateRegistrations", apple("AA04", id="1-1-1"), apple("AA05", id="9-9-9"), apple("AA05")
    ) == (
        ["1,1-1-1"],
        [
            "3,,an update says which registration: RegistrationId is missing",
            "2,9-9-9,registration '9-9-9' not found",
        ],
    )
    assert (await jobs.imported("ImportUpsertRegistrations", apple("AA05", id="9-9-9"), apple("AA06", id="9-9-9")))[
        1
    ] == []
    assert (await jobs.registrations())["9-9-9"].findtext("{*}DeviceToken") == "AA06"
    assert await jobs.imported("ImportDeleteRegistrations", apple("AA06", id="9-9-9"), "1-1-1", "8-8-8") == (
        ["1,9-9-9", "2,1-1-1"],
        ["3,8-8-8,registration '8-8-8' not found"],
    )


async def test_an_import_goes_on_after_a_restart_and_repeats_no_line(
    tmp_path: Path, blobs: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [apple(f"{number:064X}", tags="a") for number in range(30)]  # more than one piece of the file
    blobs.put("box", "in.txt", "\n".join(lines).encode())
    authority = Authority(tmp_path)
    put_block, blocks = blobs._put_block, 0

    def put_block_and_fail(*arguments: Any) -> Response:
        nonlocal blocks
        blocks += 1
        if blocks == 2:
            blobs.refusals.append((503, "ServerBusy"))
        return put_block(*arguments)

    async with serving(authority, blobs) as port:
        async with jobs_of(tmp_path, authority, blobs, port) as jobs:
            # What follows the second piece's block is refused, when its lines have taken effect, and the process ends.
            with monkeypatch.context() as patched:
                patched.setattr(blobs, "_put_block", put_block_and_fail)
                submitted = await jobs.submit("ImportCreateRegistrations", imported="in.txt")
                while blocks < 2 or blobs.refusals:
                    await asyncio.sleep(0.005)
            running = members((await jobs.client.get(submitted.headers["location"])).text)
            assert (running["Status"], 10 < float(running["Progress"]) < 100) == ("Running", True)
        requests = len(blobs.requests)
        async with jobs_of(tmp_path, authority, blobs, port) as jobs:
            job = await jobs.ended(submitted)
            assert job["Status"] == "Completed", job
            done = jobs.file(job, "Output.txt")
            assert [int(line.partition(",")[0]) for line in done] == list(range(1, 31))
            assert jobs.file(job, "Failed.txt") == []
            assert len(await jobs.registrations()) == 30
    assert "HEAD" not in {method for method, _ in blobs.requests[requests:]}  # it does not begin again


DOCUMENTS: dict[str, dict[str, Any]] = {
    "i,1": {
        "platform": "wns",
        "pushChannel": "https://wns.example/main",
        "userId": "u1",
        "tags": ["t1", "Weather"],
        "expirationTime": "2100-01-01T10:30:00.0000000Z",
        "pushVariables": {"name": "Ann"},
        "templates": {
            "a, b": {
                "body": "<toast><text>$(m)</text></toast>",
                "tags": ["own"],
                "headers": {"X-WNS-Tag": "x", "X-WNS-Type": "wns/toast"},
            },
            "weather": {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}},
        },
        "secondaryTiles": {
            "city": {
                "pushChannel": "https://wns.example/tile",
                "tags": ["zurich"],
                "templates": {"w": {"body": "<badge/>", "headers": {"X-WNS-Type": "wns/badge"}, "tags": ["bern"]}},
            }
        },
    },
    "i2": {
        "platform": "apns",
        "pushChannel": "AA02",
        "templates": {
            f"t{number}": {"body": f'{{"aps":{{"alert":"{"x" * 500} $(m)"}}}}', "expiry": "0"} for number in range(9)
        },
    },
    "i3": {"platform": "fcmv1", "pushChannel": "token", "tags": [f"t{number}" for number in range(60)]},
}


async def documents(jobs: Jobs) -> dict[str, dict[str, Any]]:
    found = {id: await jobs.client.get(f"/h1/installations/{id}") for id in DOCUMENTS}
    return {id: answer.json() for id, answer in found.items() if answer.status_code == 200}


async def exported(jobs: Jobs) -> list[str]:
    """Lines of all registrations, after `DOCUMENTS` were put."""
    for id, document in DOCUMENTS.items():
        put = await jobs.client.put(f"/h1/installations/{id}", json=document)
        assert put.status_code == 200, put.text
    job = await jobs.ended(await jobs.submit("ExportRegistrations"))
    return jobs.file(job, "Output.txt")


@pytest.mark.parametrize("type_", ["ImportCreateRegistrations", "ImportUpsertRegistrations"])
@pytest.mark.parametrize("order", ["as exported", "backwards"])
async def test_what_derives_from_installations_is_imported_as_these(jobs: Jobs, type_: str, order: str) -> None:
    lines = await exported(jobs)
    before = await documents(jobs)
    assert len(lines) == 5 + 10 + 1
    for id in DOCUMENTS:
        await jobs.client.delete(f"/h1/installations/{id}")
    done, failed = await jobs.imported(type_, *(lines if order == "as exported" else reversed(lines)))
    assert failed == []
    assert [int(line.partition(",")[0]) for line in done] == list(range(1, 17))
    assert await documents(jobs) == before
    # A second time nothing changes, and nothing fails.
    assert (await jobs.imported(type_, *lines))[1] == []
    assert len(await jobs.registrations()) == 16


async def test_a_hub_moves_by_its_export_job(jobs: Jobs) -> None:
    """As `pushbridge import anh --container` does it."""
    lines = await exported(jobs)
    egress = Egress(tls=Tls(ca_file=jobs.ca_file))
    settings = RemoteSettings(endpoint="https://ns.example", hub="h1", key_name="full", key=KEY, egress=egress)
    api = RemoteApi(settings, clock=FakeClock())
    api._client = jobs.client
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0.005)

    parts = [part async for part in exporting.exported(api, jobs.place(), sleep=wait)]
    assert [is_last for _, is_last in parts] == [*[False] * (len(parts) - 1), True]
    assert [line for found, _ in parts for line in found] == lines
    with pytest.raises(BlobError):
        async for _ in exporting.exported(api, jobs.place(rights="cw"), sleep=wait):
            pass


async def test_an_import_of_what_derives_from_an_installation_says_what_fails(jobs: Jobs) -> None:
    lines = await exported(jobs)
    native = next(line for line in lines if "token" in line)
    changed = native.replace(">token<", ">another<")
    assert (await jobs.imported("ImportCreateRegistrations", changed))[1][0].endswith(
        "installation 'i3' exists, and says something else"
    )
    assert (await jobs.imported("ImportUpdateRegistrations", changed))[1] == []
    assert (await documents(jobs))["i3"]["pushChannel"] == "another"
    unknown = native.replace("{i3}", "{i9}")
    assert (await jobs.imported("ImportUpdateRegistrations", unknown))[1][0].endswith("Installation not found.")
    bad = native.replace("<Tags>", "<Tags>bad tag!,")
    assert "not allowed: 'bad tag!'" in (await jobs.imported("ImportUpsertRegistrations", bad))[1][0]
    # One line of an installation fails for itself.
    template = next(line for line in lines if "<TemplateName>t1<" in line)
    broken = template.replace(">t1<", ">t20<").replace("AA02", "AA03")
    done, failed = await jobs.imported("ImportUpsertRegistrations", broken, template)
    assert ([line[0] for line in done], [line[0] for line in failed]) == (["2"], ["1"])
    assert "another push channel" in failed[0]


async def test_a_deletion_of_what_derives_changes_its_installation(jobs: Jobs) -> None:
    lines = await exported(jobs)
    templates = [line for line in lines if "AA02" in line and "<TemplateName>" in line]
    assert (await jobs.imported("ImportDeleteRegistrations", *templates[:4]))[1] == []
    assert len((await documents(jobs))["i2"]["templates"]) == 5
    assert (await jobs.imported("ImportDeleteRegistrations", *lines))[1] == []
    assert await documents(jobs) == {}
    assert await jobs.registrations() == {}


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(403, "AuthenticationFailed", "HTTP 403 AuthenticationFailed"), (404, "BlobNotFound", "HTTP 404 BlobNotFound")],
)
async def test_a_blob_that_cannot_be_had_fails_the_job_without_its_signature(
    jobs: Jobs, status: int, code: str, words: str
) -> None:
    jobs.blobs.refusals.append((status, code))
    job = await jobs.ended(await jobs.submit("ImportUpsertRegistrations", imported="in.txt"))
    assert job["Status"] == "Failed"
    assert words in job["Failure"]
    assert "sig=" not in job["Failure"]


async def test_a_container_that_may_only_be_read_fails_the_job(jobs: Jobs) -> None:
    job = await jobs.ended(await jobs.submit("ExportRegistrations", output=jobs.place(rights="r")))
    assert "HTTP 403 AuthorizationPermissionMismatch" in job["Failure"]


async def test_a_line_longer_than_a_piece_fails_the_job(jobs: Jobs) -> None:
    jobs.blobs.put("box", "in.txt", b"\n" + b"x" * 20_000)
    job = await jobs.ended(await jobs.submit("ImportUpsertRegistrations", imported="in.txt"))
    assert job["Failure"] == "line 2 of the import file has more than 8192 bytes"
