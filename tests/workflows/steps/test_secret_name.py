"""SecretName: what a Config holds of a secret is its name."""

from __future__ import annotations

from pydantic import Field

from workflows import config
from workflows.steps import base, config_errors
from workflows.steps.secret_name import SecretName


class Row(base.Config):
    key: SecretName = ""


class Config(base.Config):
    token: SecretName = Field("", title="Token")
    rows: list[Row] = []


class Sending(base.Step[Config]):
    kind, label = "sending", "Sending"
    Config = Config


def _errors(data: dict[str, object]) -> list[tuple[str, str]]:
    return config_errors(Sending, data)


def test_a_secret_is_chosen_by_its_name_and_may_be_left_out() -> None:
    assert _errors({}) == _errors({"token": ""}) == _errors({"token": "SHOP_KEY_2", "rows": [{"key": "a"}]}) == []


def test_what_is_no_name_is_refused_at_its_field() -> None:
    for wrong in ("9lives", "two words", "a-b", "{{ input.name }}", "x" * 65, "é", "a\n", " a"):
        [(field, text)] = _errors({"rows": [{"key": wrong}]})
        assert field == "rows.0.key" and "no name of a secret" in text and len(text) < 240
    assert _errors({"token": 3}) == [("token", "Token must be text; it is 3.")]


def test_the_form_has_a_field_of_its_own_for_it() -> None:
    [token, rows] = config.settings(Config, {"token": "SHOP_KEY", "rows": [{"key": "12"}]}, {})
    assert (token.look, token.label, token.value) == ("secret", "Token", "SHOP_KEY")
    assert rows.rows[0].fields[0].look == "secret"


def test_a_name_that_looks_like_a_number_stays_text() -> None:
    assert config.read(Config, {"token": "12"}, {}) == {"token": "12"}
    assert config.read(Config, {"token": ""}, {"token": "SHOP_KEY"}) == {}
