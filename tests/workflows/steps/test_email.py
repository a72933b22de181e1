"""email against real SMTP servers on loopback: what arrives, who refuses, and what the server said."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from tests.workflows.steps.conftest import step
from workflows import steps
from workflows.errors import WorkflowStepError
from workflows.files import area
from workflows.graph import Node
from workflows.steps.base import StepContext
from workflows.steps.email import Email

Send = Callable[..., Any]


@dataclass
class Post:
    """A server's handler: keeps what it took, and answers as it was told, by recipient or to the whole."""

    taken: list[Envelope] = field(default_factory=list)
    to: dict[str, str] = field(default_factory=dict)
    sender: str = ""
    data: str = ""

    async def handle_MAIL(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.sender or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.to:
            return self.to[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if not self.data:
            self.taken.append(envelope)
        return self.data or "250 OK"

    def mail(self) -> EmailMessage:
        """The only one that came."""
        (envelope,) = self.taken
        content = envelope.content
        assert isinstance(content, bytes)
        return email.message_from_bytes(content, policy=email.policy.default)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    post, port = Post(), free_port()
    server = Controller(post, hostname="127.0.0.1", port=port)
    server.start()
    use(settings, port)
    yield post
    server.stop()


def use(settings: Any, port: int) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = "workflowsite.mail.Server", 5
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.DEFAULT_FROM_EMAIL = "Stepstream <flow@example.org>"


def send(key: str = "1:a:0", **config: Any) -> Any:
    """What the step hands on."""
    config = {"to": ["ada@example.org"], "subject": "Hello", "text": "Hello Ada.", **config}
    lines.clear()
    ctx = StepContext(
        {}, {"before": 1}, "a", 1, datetime.now(UTC), key, lambda level, text: lines.append(text), files=area(7)
    )
    done = asyncio.run(step("email", **config).run(ctx))
    assert done.output["before"] == 1
    return done.output["email"]


lines: list[str] = []


def refused(**config: Any) -> WorkflowStepError:
    with pytest.raises(WorkflowStepError) as caught:
        send(**config)
    return caught.value


def test_a_mail_arrives_with_head_and_text(post: Post) -> None:
    sent = send(
        to=["Ada Löve <ada@example.org>", "bob@example.org"],
        cc="carl@example.org, Dora <dora@example.org>",
        bcc="eve@example.org",
        reply_to="desk@example.org",
        subject="Größe ☃",
        text="Hällo\n",
    )
    mail = post.mail()
    assert post.taken[0].rcpt_tos == [f"{who}@example.org" for who in ("ada", "bob", "carl", "dora", "eve")]
    assert post.taken[0].mail_from == "flow@example.org"
    assert mail["Subject"] == "Größe ☃" and mail.get_content().strip() == "Hällo"
    assert mail["From"] == "Stepstream <flow@example.org>" and mail["Reply-To"] == "desk@example.org"
    assert mail["To"].addresses[0].display_name == "Ada Löve"
    assert "eve" not in str(mail) and mail["Auto-Submitted"] == "auto-generated"
    assert sent == {"message_id": mail["Message-ID"], "recipients": 5, "refused": []}


def test_a_repeat_has_the_same_message_id_and_another_mail_another(post: Post, settings: Any) -> None:
    first = send()["message_id"]
    assert send(text="said otherwise")["message_id"] == first
    assert send(key="1:a:1")["message_id"] != first
    settings.SECRET_KEY = "another installation"
    assert send()["message_id"] != first
    assert first.endswith("@example.org>")


def test_files_of_the_workflow_are_attached(post: Post) -> None:
    reference = area(7).save("reports/Größe.csv", b"a,b\n")
    area(7).save("logo.png", b"\x89PNG\x00")
    send(attachments=[reference, "logo.png", [reference]])
    csv, png, _ = post.mail().iter_attachments()
    assert (csv.get_filename(), csv.get_content_type(), csv.get_payload(decode=True)) == (
        "Größe.csv",
        "text/csv",
        b"a,b\n",
    )
    assert (png.get_filename(), png.get_content_type(), png.get_payload(decode=True)) == (
        "logo.png",
        "image/png",
        b"\x89PNG\x00",
    )


def test_a_reference_cannot_lie_about_a_files_name_or_type(post: Post) -> None:
    area(7).save("a.txt", b"a")
    send(attachments=[{"file": "a.txt", "name": "evil.exe\r\nX: y", "content_type": "text/html\r\nX: y"}])
    (attachment,) = post.mail().iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == ("a.txt", "text/plain")


def test_a_file_that_is_not_there_or_too_large_is_refused_before_anything_goes_out(post: Post) -> None:
    assert "There is no file “b.txt”" in refused(attachments=["b.txt"]).message
    for number in range(2):
        area(7).save(f"{number}", b"x" * 11_000_000)
    assert "22,000,000 bytes together" in refused(attachments=["0", "1"]).message
    assert post.taken == []


def test_markdown_is_sent_as_html_too_and_nothing_in_it_is_live(post: Post) -> None:
    send(markdown=True, text="# Hi\n\n<script>x</script>\n\n[a](javascript:x)\n")
    text, html = post.mail().iter_parts()
    assert text.get_content_type() == "text/plain" and "# Hi" in text.get_content()
    page = html.get_content()
    assert "<h1>Hi</h1>" in page and "<script" not in page and 'href="javascript' not in page


def test_html_stands_beside_the_text_or_alone(post: Post) -> None:
    send(html="<p>Hi</p>")
    assert [part.get_content_type() for part in post.mail().iter_parts()] == ["text/plain", "text/html"]
    post.taken.clear()
    send(html="<p>Hi</p>", text="")
    assert post.mail().get_content_type() == "text/html"


def test_whoever_stands_in_several_lists_gets_it_once(post: Post) -> None:
    assert (
        send(to=["ada@example.org", "ADA@example.org"], cc="Ada@Example.org", bcc="ada@example.org")["recipients"] == 1
    )
    assert len(post.taken[0].rcpt_tos) == 1


INJECTIONS = ["a\r\nBcc: eve@example.org", "a\nX: y", "a\rX", "a\0", "a\u2028b", "a\x0bb"]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("setting", ["subject", "to", "cc", "bcc", "reply_to", "sender"])
def test_nothing_can_be_put_into_the_head(post: Post, setting: str, text: str) -> None:
    value = text if setting == "subject" else f"{text} <ada@example.org>"
    found = steps.config_errors(steps.kinds()["email"], {"to": "ada@example.org", setting: value})
    assert [at for at, _ in found] == [setting]
    assert "must be one line" in found[0][1]
    with pytest.raises(ValueError, match="must be one line"):
        send(**{setting: value})
    assert post.taken == []


@pytest.mark.parametrize(
    "who",
    [
        "nobody",
        "@example.org",
        "a@",
        "a b@example.org",
        "a@example.org b@example.org",
        "a@@example.org",
        "<>",
        ",",
        "a@-x.org",
    ],
)
def test_what_is_no_address_is_refused_by_name(who: str) -> None:
    found = steps.config_errors(steps.kinds()["email"], {"to": ["ada@example.org"], "cc": [who]})
    assert [at for at, _ in found] == ["cc"] and "is no mail address" in found[0][1] and found[0][1].startswith("Cc")


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        ({}, "to", "required"),
        ({"to": []}, "to", "To is required"),
        ({"to": [{"a": 1}]}, "to", "must be addresses"),
        ({"to": 7}, "to", ""),
        ({"to": "a@example.org", "sender": "a@example.org, b@example.org"}, "sender", "one address"),
        ({"to": "a@example.org", "attachments": ["../b"]}, "attachments", "“..”"),
        ({"to": "a@example.org", "attachments": [{"name": "b"}]}, "attachments", "A file is a path"),
    ],
)
def test_publishing_names_the_setting_that_is_wrong(config: dict[str, Any], field: str, said: str) -> None:
    found = steps.config_errors(steps.kinds()["email"], config)
    assert any(at.split(".")[0] == field and said in text for at, text in found), found


def test_a_mail_to_too_many_is_refused(post: Post, settings: Any) -> None:
    settings.EMAIL_RECIPIENTS = 2
    error = refused(to=["a@example.org", "b@example.org"], bcc="c@example.org")
    assert error.is_permanent and "has 3 recipients, and may have 2 (EMAIL_RECIPIENTS)" in error.message
    assert post.taken == []


@pytest.mark.parametrize(("code", "is_permanent"), [(550, True), (450, False)])
def test_a_recipient_that_is_refused_fails_the_step_in_the_servers_words(
    post: Post, code: int, is_permanent: bool
) -> None:
    post.to["ada@example.org"] = f"{code} 5.1.1 No such user here"
    error = refused()
    assert error.is_permanent is is_permanent
    assert error.message == f"The mail server took no recipient. ada@example.org: {code} 5.1.1 No such user here"
    assert error.details["refused"] == [{"address": "ada@example.org", "code": code, "said": "5.1.1 No such user here"}]


def test_where_some_are_refused_the_others_get_it_once_and_the_page_says_who(post: Post) -> None:
    post.to["bob@example.org"] = "550 gone"
    sent = send(to=["ada@example.org", "bob@example.org"])
    assert sent["recipients"] == 1
    assert sent["refused"] == [{"address": "bob@example.org", "code": 550, "said": "gone"}]
    assert "Not to bob@example.org: 550 gone" in lines and len(post.taken) == 1


@pytest.mark.parametrize(
    ("where", "said", "is_permanent"),
    [
        ("data", "554 Looks like spam", True),
        ("data", "451 Try later", False),
        ("sender", "553 Not yours", True),
        ("sender", "421 Too busy", False),
    ],
)
def test_the_servers_code_says_whether_another_try_helps(post: Post, where: str, said: str, is_permanent: bool) -> None:
    setattr(post, where, said)
    error = refused()
    assert error.is_permanent is is_permanent and said in error.message


def test_a_server_that_is_away_may_come_back(settings: Any) -> None:
    use(settings, free_port())
    error = refused()
    assert not error.is_permanent and "cannot be reached: " in error.message and "refused" in error.message


def test_a_wrong_password_is_refused_and_told_to_nobody(settings: Any) -> None:
    port = free_port()

    def no(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    server = Controller(Post(), hostname="127.0.0.1", port=port, authenticator=no, auth_require_tls=False)
    server.start()
    use(settings, port)
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "flow", "very secret"
    error = refused()
    server.stop()
    assert error.is_permanent and "refused our name and password: 535" in error.message
    assert "very secret" not in f"{error.message}{error.details}"


def test_a_server_without_tls_is_not_used_where_tls_is_wanted(post: Post, settings: Any) -> None:
    settings.EMAIL_USE_TLS = True
    error = refused()
    assert error.is_permanent and "STARTTLS" in error.message and post.taken == []


@pytest.fixture
def silent(settings: Any) -> Iterator[threading.Event]:
    """A server that takes calls and says nothing; set when somebody has called, and again when they hung up."""
    called = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                other, _ = listener.accept()
            except OSError:
                return
            with other:
                called.set()
                while other.recv(1_000):
                    pass

    threading.Thread(target=listen, daemon=True).start()
    use(settings, listener.getsockname()[1])
    yield called
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_server_that_says_nothing_is_given_up(silent: threading.Event, settings: Any) -> None:
    settings.EMAIL_TIMEOUT = 0.1
    error = refused()
    assert not error.is_permanent and "timed out" in error.message


def test_a_server_that_never_comes_to_an_end_is_given_up(
    silent: threading.Event, settings: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("workflows.steps.email.LONGEST_S", 0.1)
    settings.EMAIL_TIMEOUT = 60
    error = refused()
    assert not error.is_permanent and "took longer than 0.1 s" in error.message


async def test_a_cancel_ends_the_talk_with_the_server(silent: threading.Event, settings: Any) -> None:
    settings.EMAIL_TIMEOUT = 60
    from workflows.steps.email import _pool

    ctx = StepContext({}, {}, "a", 1, datetime.now(UTC), "1:a:0", files=area(7))
    tasks = [asyncio.create_task(step("email", to="ada@example.org").run(ctx)) for _ in range(9)]
    await asyncio.to_thread(silent.wait)
    for task in tasks:
        task.cancel()
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 2)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended)
    assert await asyncio.wait_for(asyncio.wrap_future(_pool().submit(lambda: "free")), 2) == "free"


def test_without_a_server_it_is_printed_where_no_result_goes(settings: Any, capfd: Any) -> None:
    settings.EMAIL_BACKEND = "workflowsite.mail.Terminal"
    assert send()["recipients"] == 1
    out, err = capfd.readouterr()
    assert "Hello Ada." in err and out == ""


def test_a_mail_reaches_outside() -> None:
    assert steps.reaches_out(Node("a", "email", {}))


def test_a_mail_that_says_nothing_is_a_warning_before_it_is_published() -> None:
    assert Email.cautions_of({"to": "ada@example.org"})
    assert not Email.cautions_of({"to": "ada@example.org", "subject": "News"})
