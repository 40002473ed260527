"""`exchange tape --validate`: of captures and live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from multicast_lab import a_lab, a_server, run
from order_flow import OrderFlow

from exchange.cli import cli
from exchange.commands.tape import _show_live, _Validation
from exchange.config import load
from marketdata.feed import ItchFeed
from marketdata.tape import CaptureWriter, read_capture
from protocols import itch50
from protocols.itch50_messages import SystemEvent


def tape(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output, and the sentence of an error."""
    result = CliRunner().invoke(cli, ["tape", *arguments], standalone_mode=False)
    error = result.exception
    code = getattr(error, "exit_code", getattr(error, "code", result.return_value))
    return code, result.stdout, f"{error or ''}{result.stderr}"


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    flow, feed = OrderFlow(1), ItchFeed()
    return feed.messages(flow.opening()) + feed.messages(flow.batch(500))


def written(path: Path, messages: list[bytes]) -> str:
    with CaptureWriter(path) as writer:
        writer.write(messages)
    return str(path)


def again(messages: list[bytes]) -> bytes:
    """A start of market hours, after the one that there was."""
    now_ns = itch50.decode(messages[-1]).timestamp
    return itch50.encode(SystemEvent(0, 0, now_ns, "Q"))


def test_a_sound_capture_is_valid(tmp_path: Path, messages: list[bytes]) -> None:
    path = written(tmp_path / "day.itch", messages)
    code, output, _ = tape("--validate", path)
    assert code == 0
    assert output.startswith("valid")
    assert str(len(messages)) in output


def test_each_finding_is_a_line_and_the_exit_code_is_1(
    tmp_path: Path, messages: list[bytes]
) -> None:
    path = written(tmp_path / "day.itch", [*messages, again(messages)])
    code, output, _ = tape("--validate", path)
    assert code == 1
    first, title, *_ = output.splitlines()
    assert first == f"{len(messages) + 1} system-event: System Event Q comes after Q."
    assert title.startswith("NOT VALID")


def test_json_has_a_line_for_each_finding_and_one_for_the_counts(
    tmp_path: Path, messages: list[bytes]
) -> None:
    path = written(tmp_path / "day.itch", [*messages, again(messages)])
    code, output, _ = tape("--validate", "--json", path)
    finding, last = map(json.loads, output.splitlines())
    text = "System Event Q comes after Q."
    assert finding == {"sequence": len(messages) + 1, "check": "system-event", "text": text}
    assert last["summary"]["messages"] == len(messages) + 1
    assert (code, last["summary"]["findings"]) == (1, 1)


def test_a_capture_that_was_cut_says_so_after_the_counts(
    tmp_path: Path, messages: list[bytes]
) -> None:
    path = Path(written(tmp_path / "day.itch", messages))
    path.write_bytes(path.read_bytes()[:-5])
    code, output, error = tape("--validate", str(path))
    assert code == 1
    assert output.startswith("valid")
    assert "cut short" in error


def test_what_comes_is_captured_byte_for_byte(tmp_path: Path, messages: list[bytes]) -> None:
    path, copy = written(tmp_path / "day.itch", messages), tmp_path / "copy.itch"
    code, output, error = tape("--capture", str(copy), path)
    assert (code, output) == (0, "")
    assert copy.read_bytes() == Path(path).read_bytes()
    assert f"{len(messages)} messages in {copy}" in error
    code, output, _ = tape("--validate", "--capture", str(tmp_path / "second.itch"), path)
    assert output.startswith("valid")
    assert (tmp_path / "second.itch").read_bytes() == copy.read_bytes()


def test_a_capture_writes_over_nothing(tmp_path: Path, messages: list[bytes]) -> None:
    path = written(tmp_path / "day.itch", messages)
    code, _, error = tape("--capture", path, path)
    assert code == 2
    assert "is there already" in error
    assert len(list(read_capture(Path(path)))) == len(messages)


def test_the_live_stream_is_checked_from_its_first_message(tmp_path: Path, capsys: Any) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            file = tmp_path / "exchange.toml"
            file.write_text(
                f'[addresses]\nline_a = "{lab.lines.line_a}"\nline_b = "{lab.lines.line_b}"\n'
                f'rerequest = "{server.rerequest_address}"\n'
                'node_http = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]\n'
                f'[marketdata]\nfeed_session = "{lab.lines.session}"\n'
            )
            lab.publish(0)
            await lab.publish_many(40)
            validation = _Validation(as_json=True)
            await _show_live(load(file), True, lab.position - 1, validation.receive)
            assert validation.end() == 0
            summary = json.loads(capsys.readouterr().out)["summary"]
            assert summary["messages"] == summary["last_sequence"] == lab.position - 1

    run(test)
