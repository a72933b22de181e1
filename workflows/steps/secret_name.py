"""The name of a secret in a Config: chosen in the form by name, and never written by an expression.

The value comes at run time, by ctx.secret(name, host); the definition holds the name alone.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RULE = "letters, digits and “_”, no digit first, and at most 64 characters"


def _named(name: str) -> str:
    if name and not NAME.fullmatch(name):
        why = f"“{name[:80]}” is no name of a secret, which has {RULE}"
        raise PydanticCustomError("field", "{why}", {"why": why})
    return name


#: For a Config: `token: SecretName = Field("", title="Token")`. Empty: none.
SecretName = Annotated[str, AfterValidator(_named), Field(json_schema_extra={"look": "secret"})]
