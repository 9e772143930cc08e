"""`pushbridge init`: from a sample that nobody prepared to a configuration that `check` takes and a rule that fires."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bridge.cli.main import app
from bridge.decode.pattern import compile_pattern
from bridge.trial.sample import Given, pattern_of, read_sample
from connectors.table import CONNECTORS

SAMPLES: dict[str, tuple[str, str | None, str | None]] = {
    # the body, and the placeholders of id and time; None: no id would be better than another, or there is no time
    "an order": (
        '{"eventId":"0b9c2f1e-6d0e-4a1b-9d7c-0a2b3c4d5e6f","type":"OrderShipped","occurredAt":"2026-03-02T10:15:00Z",'
        '"orderNo":"SO-4711","customer":{"id":"c9","name":"Ann"},"eta":"2026-03-04T08:00:00Z","total":129.9}',
        "{{ data.eventId }}",
        "{{ data.occurredAt }}",
    ),
    "a posting": (
        '{"postingId":"p-1","kind":"debit","amount":720.5,"currency":"CHF","accountId":"a1","customerId":"c9",'
        '"bookedAt":"2026-11-28T10:00:00","valueDate":"2026-11-30","merchant":{"id":"m7","name":"Shop"}}',
        "{{ data.postingId }}",
        "{{ data.bookedAt }}",
    ),
    "a webhook": (
        '{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","api_version":"2019-02-19","created":1686089970,'
        '"type":"setup_intent.created","data":{"object":{"id":"seti_1NG8Du","created":1686089970,"customer":null}}}',
        "{{ data.id }}",
        "{{ data.created }}",
    ),
    "an approval in XML": (
        '<?xml version="1.0"?><ns:ApprovalRequest xmlns:ns="urn:x"><RequestNo>BR-7</RequestNo><State>Requested</State>'
        "<Amount>1200.50</Amount><CostCenter>CC1</CostCenter><ApproverId>u77</ApproverId>"
        "<CreatedOn>2026-03-02T10:15:00Z</CreatedOn><DueDate>2026-03-09T00:00:00Z</DueDate></ns:ApprovalRequest>",
        "{{ data.RequestNo }}/{{ data.State }}",
        "{{ data.CreatedOn }}",
    ),
    "a line of text": ("Employee Id '12345' has joined.\n", "{{ data.id }}/{{ data.what }}", None),
    "an alarm": (
        '{"header":{"messageId":"7f3c9a10-aaaa-bbbb-cccc-1234567890ab","timestamp":"2026-05-01T00:00:01.123+02:00",'
        '"sender":"SCADA"},"payload":{"deviceId":"pump-9","status":"ALARM","severity":3,"text":"pressure"}}',
        "{{ data.header.messageId }}",
        "{{ data.header.timestamp }}",
    ),
    "a ticket": (
        '{"ticket":{"number":"INC0010023","state":"New","short_description":"VPN down","assigned_to":"jdoe",'
        '"opened_at":"2026-01-05 08:01:02","due_date":"2026-01-06 08:01:02"},"action":"insert"}',
        "{{ data.ticket.number }}/{{ data.action }}",
        "{{ data.ticket.opened_at }}",
    ),
    "an IDoc": (
        "<ORDERS05><IDOC><EDI_DC40><DOCNUM>0000000000123456</DOCNUM><MESTYP>ORDERS</MESTYP><CREDAT>20260302</CREDAT>"
        "</EDI_DC40><E1EDK01><BELNR>4500017</BELNR><CURCY>EUR</CURCY></E1EDK01></IDOC></ORDERS05>",
        "{{ data.IDOC.EDI_DC40.DOCNUM }}",
        None,
    ),
    "a record of fixed columns": ("20260302KD0004711  RECHNUNG   00012345,67EUR  \r\n", None, None),
    "text of many quotes and lines": ('  ALERT\tdisk \'a "b" c\' full\n on host7, "it\'s bad"\n', None, None),
    "an envelope with a comment before it": (
        "<?xml version='1.0'?><!-- <sample> --><s:Envelope xmlns:s='urn:s'><s:Id>5</s:Id><At>2026-03-02T10:15:00Z</At>"
        "</s:Envelope>",
        "{{ data.Id }}",
        "{{ data.At }}",
    ),
    "a long text": (json.dumps({"id": "m-1", "text": "y" * 70_000}), "{{ data.id }}", None),
    "a lowercase log line": ("order 4711 for customer c9 was shipped", "{{ data.order }}/{{ data.what }}", None),
    "an inventory message": (
        '{"messageType":"StockLow","messageUuid":"3f0c7c1e-1111-2222-3333-444455556666","sku":"A-1","warehouse":"ZH",'
        '"quantity":3,"createdAtMs":1767225600000}',
        "{{ data.messageUuid }}",
        "{{ data.createdAtMs }}",
    ),
}


TABLES: dict[str, tuple[bytes, Sequence[str], Sequence[str], Sequence[str]]] = {
    # the body, options, lines of the configuration, and what is asked
    "an export of a German Excel": (
        'Kunde;Betrag;Gebucht am;Referenz\r\nc9;1.234,50;2026-03-02;"R;1"\r\nc10;7;2026-03-03;Müller\r\n'.encode(
            "cp1252"
        ),
        [],
        ['delimiter: ";"', 'types: { Betrag: decimal_comma, "Gebucht am": date }', "encoding: cp1252", "split: lines"],
        ["taken for Windows' cp1252"],
    ),
    "CSV with a byte order mark": (
        b'\xef\xbb\xbfid,amount,note\n1,12.50,"a, b\nand a line"\n2,3.00,x\n',
        [],
        ["types: { amount: decimal }", 'id: "{{ data.id }}"'],
        [],
    ),
    "a record of tabs, without names": (
        b"K1\tc9\t03/04/2026\t1,234\n",
        [],
        ['delimiter: "\\t"', "columns: [column1, column2, column3, column4]", "header: false"],
        ["give them names", 'column3: "03/04/2026"', 'column4: "1,234"'],
    ),
    "names of columns, or a record": (
        b"name|city\nAnna|Bern\n",
        [],
        ['delimiter: "|"'],
        ["is taken for names of columns"],
    ),
    "names that are missing and there twice": (
        b"a;a;\n1;2;\n3;4;\n",
        [],
        ["columns: [a, column2, column3]", "header: true"],
        ['the name "a" a second time', "a column without a name"],
    ),
    "a line that says the delimiter": (
        b"sep=;\r\nid;name\r\n1;Zoe\r\n",
        [],
        ['{ format: csv, delimiter: ";", split: lines }'],
        [],
    ),
    "two delimiters that fit": (b"a;b,c;d\n1;2,3;4\n", [], ['delimiter: ";"'], []),
    "fields that are not as many in each line": (
        b"a;b\n1;2;3\n",
        [],
        ["format: text"],
        ["not the same number of them"],
    ),
    "UTF-16": ("id;name\n1;Zoë\n".encode("utf-16"), [], ['{ format: csv, delimiter: ";", split: lines }'], []),
    "fixed columns": (
        b"20260302KD0004711  RECHNUNG   00012345EUR\n20260303KD0004712  GUTSCHRIFT 00000099CHF\n",
        [],
        ["field1: { at: 1-8, type: date }", "field3: 11-19", "field6: 39-41", "split: lines"],
        ["columns are guessed from 2 lines", "scale: 2"],
    ),
    "records of EBCDIC without line ends": (
        "".join(f"{name:<10}{number:08d}X" for name, number in (("Müller", 1250), ("Meier", 7))).encode("cp273"),
        ["--encoding", "IBM-273", "--length", "19"],
        ["field1: 1-10", "length: 19", "split: records", "encoding: cp273"],
        ["columns are guessed", "scale: 2"],
    ),
    "packed numbers": (
        "AB12".encode("cp037") + bytes.fromhex("0001234c"),
        ["--encoding", "cp037", "--field", "id=1-4", "--field", "amount=5-8:packed:2"],
        ["amount: { at: 5-8, type: packed, scale: 2 }", "length: 8", 'id: "{{ data.id }}"'],
        ["taken for one record"],
    ),
    "lines of EBCDIC": (
        "ann 0001\x85bob 0022\x85".encode("cp037"),
        ["--encoding", "cp037"],
        ["field1: 1-4", "field2: 5-8", "split: lines"],
        ["columns are guessed", "scale: 2"],
    ),
    "a log in ISO 8859-1": (
        "Auftrag 4711 für \x81 ist fertig".encode("latin-1"),
        [],
        ['encoding: "iso8859-1"'],
        ["ISO 8859-1"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("connector", ["http", "files"])
@pytest.mark.parametrize("sample", TABLES)
def test_a_table_becomes_a_configuration_that_asks_what_it_does_not_say(
    tmp_path: Path, sample: str, connector: str
) -> None:
    body, options, lines, asked = TABLES[sample]
    made(tmp_path, body, "--connector", connector, *options)
    text = (tmp_path / "out" / "mine.yaml").read_text()
    questions = [line.strip().removeprefix("# look: ") for line in text.splitlines() if "# look: " in line]
    assert [line for line in lines if line not in text] == [], text
    assert [each for each in asked if not any(each in question for question in questions)] == [], questions
    assert len(questions) == len(asked), questions
    for command in (["check", str(tmp_path / "out")], ["test", str(tmp_path / "out")]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (done.output, text)


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        ("Müller    4711  ".encode("cp273"), [], "name its code page, such as --encoding cp1141"),
        (bytes([1, 2, 0, 0x99, 0, 0x1C]), [], "name its code page"),
        (b"id;amount\n1;2\n2;3;4\n", ["--format", "csv"], "it is no CSV"),
        (b"one line of text", ["--format", "fixed_width"], "give them as --field NAME=1-12"),
        (b"12345678", ["--field", "a=1-20:packed"], "the record ends before a"),
        (b"12345678", ["--field", "a=x"], "write NAME=FIRST-LAST"),
        (b"12345678", ["--field", "a=1-2", "--field", "a=3-4"], "another field has this name"),
        (b"12345678", ["--field", "a=1-4:packt"], "there is no type packt; there are text, packed"),
        (b"12345678", ["--encoding", "klingon"], "not a charset that is read"),
        (b"12345678", ["--format", "yaml"], "there are csv, fixed_width, text"),
    ],
)
def test_a_table_that_cannot_be_seen_is_asked_for(
    tmp_path: Path, body: bytes, options: Sequence[str], said: str
) -> None:
    assert said in made(tmp_path, body, *options, code=2).stderr
    assert not (tmp_path / "out").exists()


@given(st.binary(max_size=200), st.sampled_from(["", "csv", "fixed_width", "text"]), st.sampled_from(["", "cp273"]))
def test_any_bytes_are_a_sample_or_refused_in_words(body: bytes, format_: str, encoding: str) -> None:
    with suppress(ValueError):
        sample = read_sample(body, Given(format=format_ or None, encoding=encoding or None))
        assert sample.data is not None
        assert all("\n" not in note for note in sample.notes)


def made(directory: Path, sample: str | bytes, *options: str, code: int = 0) -> Result:
    file = directory / "sample"
    file.write_bytes(sample.encode() if isinstance(sample, str) else sample)
    arguments = ["init", "--from", str(file), "--name", "mine", "--directory", str(directory / "out"), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES)
def test_what_is_made_of_a_sample_has_no_mistake_and_its_rule_fires(tmp_path: Path, sample: str) -> None:
    body, _, _ = SAMPLES[sample]
    made(tmp_path, body)
    out = tmp_path / "out"
    checked = CliRunner().invoke(app, ["check", str(out)])
    assert checked.exit_code == 0, checked.output
    (copy,) = [file for file in out.iterdir() if file.suffix != ".yaml"]
    explained = CliRunner().invoke(app, ["explain", str(out), str(copy), "--json"])
    assert explained.exit_code == 0, explained.output
    report = json.loads(explained.stdout)
    assert [rule["result"] for rule in report["rules"]] == ["fired"], report
    tested = CliRunner().invoke(app, ["test", str(out)])
    assert tested.exit_code == 0, tested.output


@pytest.mark.slow
def test_id_and_time_are_the_right_ones_in_most_samples(tmp_path: Path) -> None:
    wrong = []
    for name, (body, id_, time) in SAMPLES.items():
        directory = tmp_path / name.replace(" ", "-")
        directory.mkdir()
        made(directory, body)
        text = (directory / "out" / "mine.yaml").read_text()
        found = [id_ is None or f'id: "{id_}"' in text, f'time: "{time}"' in text if time else "time:" not in text]
        wrong += [f"{name}: {text}"] if not all(found) else []
    assert len(wrong) <= 1, "\n".join(wrong)


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_the_pattern_of_a_text_matches_it(text: str) -> None:
    matched = compile_pattern(pattern_of(text))(text.strip())
    assert matched is not None, pattern_of(text)


@pytest.mark.parametrize(
    ("file", "name"), [("null.json", "source-null"), ("42.json", "source"), ("Nö!.json", "source-n")]
)
def test_a_source_is_named_after_the_file_where_the_name_can_stand_in_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(SAMPLES["an order"][0])
    assert CliRunner().invoke(app, ["init", "--from", file]).exit_code == 0
    tested = CliRunner().invoke(app, ["test", "pushbridge"])
    assert (tested.exit_code, Path(f"pushbridge/{name}.yaml").exists()) == (0, True), tested.output


def test_an_event_is_not_lost_for_want_of_its_subject(tmp_path: Path) -> None:
    made(tmp_path, SAMPLES["an order"][0])
    assert "subject: \"{{ data.orderNo | default('') }}\"" in (tmp_path / "out" / "mine.yaml").read_text()
    order = json.loads(SAMPLES["an order"][0])
    del order["orderNo"]
    (tmp_path / "other.json").write_text(json.dumps(order))
    arguments = ["explain", str(tmp_path / "out"), str(tmp_path / "other.json"), "--json"]
    assert json.loads(CliRunner().invoke(app, arguments).stdout)["outcome"] == "accepted"


def test_a_title_names_the_kind_of_the_event_and_not_its_version(tmp_path: Path) -> None:
    made(tmp_path, '{"specversion":"1.0","id":"a","source":"/s","type":"com.acme.order.shipped.v1"}')
    assert 'title: "Mine shipped"' in (tmp_path / "out" / "mine.yaml").read_text()


@pytest.mark.parametrize("connector", CONNECTORS)
def test_every_connector_has_a_section_that_works(tmp_path: Path, connector: str) -> None:
    made(tmp_path, SAMPLES["an order"][0], "--connector", connector)
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "out")])
    assert checked.exit_code == 0, checked.output


def test_what_is_no_sample_or_would_be_overwritten_is_said(tmp_path: Path) -> None:
    assert "an event is one object" in made(tmp_path, "[1]", code=2).stderr
    assert "begins as JSON does" in made(tmp_path, '{"a": ', code=2).stderr
    assert "the sample is empty" in made(tmp_path, " \n", code=2).stderr
    assert "there are rabbitmq, http" in made(tmp_path, "{}", "--connector", "kafka9", code=2).stderr
    assert not (tmp_path / "out").exists()
    made(tmp_path, SAMPLES["an order"][0])
    assert "there already; nothing was written" in made(tmp_path, SAMPLES["a posting"][0], code=2).stderr
    assert "orderNo" in (tmp_path / "out" / "mine.yaml").read_text()
