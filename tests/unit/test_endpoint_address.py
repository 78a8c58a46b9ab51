"""How endpoints are named, and that keys show themselves nowhere."""

from __future__ import annotations

import pytest

from auditkit.errors import EndpointError, TargetRefused
from auditkit.targets.endpoint.address import KEY, Key, key_for, parse_address
from auditkit.targets.spec import parse_spec


@pytest.mark.parametrize(
    ("text", "base", "host", "model"),
    [
        ("openai://127.0.0.1:8000/m", "http://127.0.0.1:8000", "127.0.0.1", "m"),
        ("openai://localhost/m", "http://localhost", "localhost", "m"),
        ("openai://[::1]:80/m", "http://[::1]:80", "::1", "m"),
        (
            "openai://api.example.org/org/m-8B",
            "https://api.example.org",
            "api.example.org",
            "org/m-8B",
        ),
        ("openai://10.0.0.1:1/m", "https://10.0.0.1:1", "10.0.0.1", "m"),
        ("openai+http://10.0.0.1:1/m", "http://10.0.0.1:1", "10.0.0.1", "m"),
        ("openai://localhost.evil.org/m", "https://localhost.evil.org", "localhost.evil.org", "m"),
    ],
)
def test_what_is_read(text: str, base: str, host: str, model: str) -> None:
    address = parse_address(text)
    assert (address.base, address.host, address.model) == (base, host, model)


@pytest.mark.parametrize(
    "text",
    [
        "openai://",
        "openai://host",
        "openai://host/",
        "openai:///m",
        "openai://host:99999/m",
        "openai://host:x/m",
        "openai://ho st/m",
        "openai://host/m?x=1",
        "openai://host/m#x",
        "openai://host/a b",
        "ftp://host/m",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(TargetRefused):
        parse_address(text)


def test_a_key_in_the_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(TargetRefused, match=KEY) as error:
        parse_address("openai://sk-secret@host/m")
    assert "sk-secret" not in str(error.value)


def test_a_key_for_one_host_comes_before_the_one_for_all() -> None:
    address = parse_address("openai://api.example-1.org/m")
    environ = {KEY: "for-all", f"{KEY}_API_EXAMPLE_1_ORG": "for-one"}
    assert key_for(address, environ).value == "for-one"
    assert key_for(address, {KEY: "for-all"}).value == "for-all"
    assert key_for(address, {}).value == ""


@pytest.mark.parametrize("value", ["abc", "my own key", "line\nbreak", "ümlaut"])
def test_a_key_that_no_header_can_hold_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(TargetRefused, match="header") as error:
        key_for(parse_address("openai://h/m"), {KEY: value})
    assert value not in str(error.value)


def test_a_key_does_not_show_itself() -> None:
    key = Key("sk-secret")
    assert "sk-secret" not in f"{key} {key!r}"
    assert key.scrubbed("wrong key sk-secret!") == "wrong key [key]!"
    assert Key("").scrubbed("text") == "text"
    Key("").check_not_in("text", "an endpoint")
    with pytest.raises(EndpointError, match="withdraw") as error:
        key.check_not_in("it is sk-secret", "an endpoint")
    assert "sk-secret" not in str(error.value)


def test_where_files_are_needed_an_endpoint_is_refused() -> None:
    with pytest.raises(TargetRefused, match="no files here"):
        parse_spec("openai://host/m")
