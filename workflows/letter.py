"""One mail, sent by Django's backend, and what the server said where it did not take it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.encoders import encode_base64
from email.mime.base import MIMEBase
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.utils.crypto import salted_hmac

from workflows.errors import WorkflowStepError
from workflows.mail_addresses import Address, addresses

LONGEST = 500  # characters of the server's own words


@dataclass
class Letter:
    """`key`: the same for each try to send it. `attachments`: (name, content, type)."""

    key: str
    sender: str
    to: list[Address]
    cc: list[Address]
    bcc: list[Address]
    reply_to: list[Address]
    subject: str
    text: str
    html: str
    attachments: list[tuple[str, bytes, str]]
    _connection: Any = field(default_factory=get_connection, repr=False)

    def __post_init__(self) -> None:
        most = settings.EMAIL_RECIPIENTS
        if not self.recipients:
            raise _refusal("There is nobody to send it to: To, Cc and Bcc are empty.")
        if len(self.recipients) > most:
            text = f"The mail has {len(self.recipients)} recipients, and may have {most} (EMAIL_RECIPIENTS)."
            raise _refusal(f"{text} Send several, as with for each.")

    @property
    def recipients(self) -> list[Address]:
        return list({one.address.casefold(): one for one in (*self.to, *self.cc, *self.bcc)}.values())

    @property
    def message_id(self) -> str:
        """The same for each try, and another in every other installation."""
        domain = self._from.address.rpartition("@")[2].encode("idna").decode()
        return f"<{salted_hmac('stepstream.email', self.key, algorithm='sha256').hexdigest()[:40]}@{domain}>"

    @property
    def _from(self) -> Address:
        return addresses(self.sender or settings.DEFAULT_FROM_EMAIL, "From")[0]

    def send(self) -> list[dict[str, Any]]:
        """In a thread. Gives whom the server refused, where it took others: [{"address", "code", "said"}].

        Raises WorkflowStepError with the server's code and words; it is permanent where the server says so.
        """
        try:
            self._connection.send_messages([self._message()])
        except smtplib.SMTPRecipientsRefused as error:
            raise _all_refused(error.recipients) from None
        except smtplib.SMTPResponseException as error:
            raise _answered(error) from None
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            raise _refusal(f"The mail server cannot be used: {error}.") from None
        except smtplib.SMTPServerDisconnected as error:
            raise WorkflowStepError(f"The mail server has hung up: {error}.") from None
        except OSError as error:
            raise WorkflowStepError(f"The mail server cannot be reached: {error}.") from None
        except ValueError as error:  # of what cannot stand in a message
            raise _refusal(f"The mail cannot be written: {error}.") from None
        return _refused(getattr(self._connection, "refused", {}))

    def stop(self) -> None:
        if hasattr(self._connection, "stop"):
            self._connection.stop()

    def _message(self) -> EmailMultiAlternatives:
        to, cc, bcc, reply_to = ([str(one) for one in who] for who in self._distinct())
        headers = {"Message-ID": self.message_id, "Auto-Submitted": "auto-generated"}
        is_html = bool(self.html) and not self.text
        message = EmailMultiAlternatives(
            subject=self.subject,
            body=self.html if is_html else self.text,
            from_email=str(self._from),
            to=to,
            bcc=bcc,
            connection=self._connection,
            headers=headers,
            cc=cc,
            reply_to=reply_to,
        )
        if is_html:
            message.content_subtype = "html"
        elif self.html:
            message.attach_alternative(self.html, "text/html")
        for name, content, kind in self.attachments:
            message.attach(_as_it_is(name, content, kind))
        return message

    def _distinct(self) -> tuple[list[Address], list[Address], list[Address], list[Address]]:
        """Whoever stands in several lists gets it once."""
        seen: set[str] = set()
        lists: list[list[Address]] = []
        for who in (self.to, self.cc, self.bcc):
            lists.append([one for one in who if one.address.casefold() not in seen])
            seen |= {one.address.casefold() for one in who}
        return lists[0], lists[1], lists[2], self.reply_to


def _as_it_is(name: str, content: bytes, kind: str) -> MIMEBase:
    """Django sends a text as text, and its line ends become those of mail; a file arrives byte by byte."""
    part = MIMEBase(*kind.partition(";")[0].split("/", 1))
    part.set_payload(content)
    encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def _refused(refused: Mapping[str, tuple[int, bytes]]) -> list[dict[str, Any]]:
    return [{"address": who, "code": code, "said": _words(said)} for who, (code, said) in refused.items()]


def _all_refused(refused: Mapping[str, tuple[int, bytes]]) -> WorkflowStepError:
    told = _refused(refused)
    text = "; ".join(f"{one['address']}: {one['code']} {one['said']}" for one in told[:5])
    is_permanent = all(500 <= one["code"] < 600 for one in told)
    return WorkflowStepError(f"The mail server took no recipient. {text}", {"refused": told}, is_permanent=is_permanent)


def _answered(error: smtplib.SMTPResponseException) -> WorkflowStepError:
    code, said = error.smtp_code, _words(error.smtp_error)
    did = DID.get(type(error), "refused the mail")
    details = {"code": code, "said": said}
    return WorkflowStepError(f"The mail server {did}: {code} {said}", details, is_permanent=500 <= code < 600)


DID: dict[type[smtplib.SMTPResponseException], str] = {
    smtplib.SMTPAuthenticationError: "refused our name and password",
    smtplib.SMTPSenderRefused: "refused the sender",
    smtplib.SMTPConnectError: "does not want to talk",
    smtplib.SMTPHeloError: "does not want to talk",
}


def _words(said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    password = getattr(settings, "EMAIL_HOST_PASSWORD", "")
    text = text.replace(password, "••••") if password else text
    return " ".join(text.split())[:LONGEST]


def _refusal(message: str) -> WorkflowStepError:
    return WorkflowStepError(message, is_permanent=True)
