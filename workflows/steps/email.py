"""email: sends one message by the installation's mail server, with a Message-ID by which a repeat is recognised."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic.config import JsonDict

from workflows.errors import WorkflowStepError
from workflows.filenames import FileError, checked, path_of
from workflows.mail_addresses import Address, addresses, line
from workflows.steps import base
from workflows.steps.blocking import blocking
from workflows.steps.due import SaveAs
from workflows.words import count

LONGEST_S = 60.0  # for all of it: a server that answers a letter at a time would never come to the end of its time-out
ATTACHED = 20 * 1024 * 1024  # bytes, all of them together


def _who(value: Any, info: ValidationInfo) -> Any:
    if not addresses(value, _name(info)) and info.field_name == "to":
        raise ValueError("To is required: at least one address, such as ada@example.org.")
    return value


def _line(value: str, info: ValidationInfo) -> str:
    return line(value, _name(info))


def _sender(value: str) -> str:
    if value and len(addresses(value, "From")) != 1:
        raise ValueError("From must be one address.")
    return value


def _attached(value: Any) -> Any:
    for one in _listed(value):
        try:
            checked(path_of(one))
        except FileError as error:
            raise ValueError(f"Attachments: {error.message}") from None
    return value


def _name(info: ValidationInfo) -> str:
    return NAMES.get(str(info.field_name), str(info.field_name).capitalize())


NAMES = {"reply_to": "Reply to"}
LINES: JsonDict = {"look": "lines"}
Who = Annotated[str | list[Any], AfterValidator(_who)]


class Config(base.Config):
    to: Who = Field(description="Such as ada@example.org, or Ada <ada@example.org>.", json_schema_extra=LINES)
    subject: Annotated[str, AfterValidator(_line)] = Field(
        "", max_length=900, description="One line.", json_schema_extra={"look": "text"}
    )
    text: str = Field("", max_length=500_000, description="What is written.")
    markdown: bool = Field(False, title="The text is Markdown", description="It is then sent as HTML as well.")
    attachments: Annotated[str | list[Any], AfterValidator(_attached)] = Field(
        [],
        description="Files of this workflow: a path, or the reference that a step gave.",
        json_schema_extra=LINES,
    )
    cc: Who = Field([], title="Cc", description="Who gets a copy, and everybody sees it.", json_schema_extra=LINES)
    bcc: Who = Field([], title="Bcc", description="Who gets a copy, and nobody sees it.", json_schema_extra=LINES)
    reply_to: Who = Field([], description="Where answers go. Empty: to the sender.", json_schema_extra=LINES)
    sender: Annotated[str, AfterValidator(_sender)] = Field(
        "", title="From", description="Empty: as the installation has it. Servers often take one address only."
    )
    html: str = Field(
        "", title="HTML", max_length=500_000, description="Beside the text, for programs that show it, or alone."
    )
    save_as: SaveAs = "email"


class Email(base.Step[Config]):
    kind, label, icon = "email", "Email", "mail"
    help = "Sends a mail, with files of this workflow if you like."
    also = "smtp notify message newsletter"
    group, page = "Reach out", "email.md"
    gives = 'the data and `{"email": {"message_id", "recipients", "refused"}}`'
    effects = "outside"
    example = {
        "to": ["Ada <ada@example.org>"],
        "subject": "New: {{ input.text }}",
        "text": "It came at {{ now }}.",
    }
    start = {"to": []}
    Config = Config

    @classmethod
    def cautions_of(cls, data: Mapping[str, Any]) -> Sequence[str]:
        says = any(data.get(name) for name in ("subject", "text", "html"))
        return () if says else ("The mail has no subject and no text: it would come empty.",)

    async def run(self, ctx: base.StepContext) -> base.Done:
        from workflows.letter import Letter  # Django's mail: only where it is used

        config = self.config
        letter = Letter(
            key=ctx.idempotency_key,
            sender=config.sender,
            to=addresses(config.to, "To"),
            cc=addresses(config.cc, "Cc"),
            bcc=addresses(config.bcc, "Bcc"),
            reply_to=addresses(config.reply_to, "Reply to"),
            subject=line(config.subject, "Subject"),
            text=config.text,
            html=self._html(),
            attachments=await asyncio.to_thread(self._files, ctx),
        )
        ctx.log(f"Sends “{config.subject[:200]}” to {_people(letter.recipients)}")
        try:
            async with asyncio.timeout(LONGEST_S):
                refused = await blocking(_pool(), letter.send, letter.stop)
        except TimeoutError:
            raise WorkflowStepError(f"The mail server took longer than {LONGEST_S:g} s.") from None
        for one in refused:
            ctx.log(f"Not to {one['address']}: {one['code']} {one['said']}", "warning")
        many = len(letter.recipients) - len(refused)
        sent = {"message_id": letter.message_id, "recipients": many, "refused": refused}
        return base.Done({**ctx.data, config.save_as: sent})

    def _html(self) -> str:
        if self.config.html or not self.config.markdown:
            return self.config.html
        from markdown_it import MarkdownIt

        return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(self.config.text))

    def _files(self, ctx: base.StepContext) -> list[tuple[str, bytes, str]]:
        """(name, content, type) of each."""
        found = [ctx.files.reference(path_of(one)) for one in _listed(self.config.attachments)]
        if (total := sum(one["size"] for one in found)) > ATTACHED:
            raise WorkflowStepError(
                f"The attachments have {total:,} bytes together; a mail takes {ATTACHED:,}.", is_permanent=True
            )
        return [(one["name"], ctx.files.read(one["file"]), one["content_type"]) for one in found]


def _listed(value: Any) -> list[Any]:
    """One, or a list; what an expression gave may be a list in a list."""
    if isinstance(value, str | Mapping):
        return [value] if value else []
    return [inner for one in value for inner in (_listed(one) if isinstance(one, list) else [one])]


def _people(who: list[Address]) -> str:
    shown = ", ".join(one.address for one in who[:5])
    return shown if len(who) <= 5 else f"{shown} and {count(len(who) - 5, 'other')}"


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "mail")
