"""A log line is one line, and says whose it is."""

import logging
import sys

from workflowsite.logs import KeyValueFormatter


def line(message: str, **carried: object) -> str:
    record = logging.makeLogRecord({"name": "executions.engine", "levelname": "INFO", "msg": message, **carried})
    return KeyValueFormatter().format(record)


def test_a_line_names_its_execution() -> None:
    assert line("taken over", execution=12).endswith(
        'level=info from=executions.engine execution=12 message="taken over"'
    )


def test_a_line_about_nothing_in_particular_names_none() -> None:
    assert "execution=" not in line("ready")


def test_a_text_from_outside_cannot_start_a_line_of_its_own() -> None:
    assert "\n" not in line("bad\nat=2026 level=critical")
    assert r"bad\nat=2026" in line("bad\nat=2026 level=critical")


def test_a_traceback_stays_in_the_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        told = line("failed", exc_info=sys.exc_info())
    assert "\n" not in told
    assert "ValueError: no" in told


def test_an_address_that_lets_one_in_is_not_repeated() -> None:
    told = line("Internal Server Error: /callbacks/12/call/0a1b2c3d/")
    assert "0a1b2c3d" not in told and "/callbacks/12/call/…/" in told
    assert "s3cret" not in line("Internal Server Error: /welcome/MQ/s3cret/")
    try:
        raise ValueError("at /callbacks/12/call/0a1b2c3d/")
    except ValueError:
        assert "0a1b2c3d" not in line("failed", exc_info=sys.exc_info())


def test_other_addresses_are_told_whole() -> None:
    assert "/executions/12/waits/call/" in line("Internal Server Error: /executions/12/waits/call/")
    assert "/callbacks/" in line("callbacks live at /callbacks/ and nowhere else")
