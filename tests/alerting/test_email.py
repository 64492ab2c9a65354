import asyncio
import hashlib
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import ValidationError
from told import held, opened, resolved
from web_servers import raw_server

from earwitness.alerting.mail import send_mail
from earwitness.alerting.senders import Senders, converse
from earwitness.evidence.storage import EvidenceStorage
from earwitness.hooks.base import HookOutcome, Parcel, Reason, Reply
from earwitness.hooks.email import KIND, EmailSpec

PASSWORD = "hunter2-correct-horse"
SECTION = {
    "from": "Earwitness <earwitness@monitor.example>",
    "to": ["On call <on-call@shop.example>", "boss@shop.example"],
}


class MailServer:
    """What aiosmtpd hands its mails to; it answers as it is told to."""

    def __init__(self):
        self.mails = []
        self.recipients = []
        self.answers = {}  # "RCPT" or "DATA" -> answers, used up one by one

    def _answer(self, command):
        return self.answers.get(command, []).pop(0) if self.answers.get(command) else None

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  aiosmtpd's name.
        refusal = self._answer("RCPT")
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  aiosmtpd's name.
        refusal = self._answer("DATA")
        if refusal is None:
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            self.recipients.append(envelope.rcpt_tos)
        return refusal or "250 2.0.0 queued as 42"


def authenticator(_server, _session, _envelope, _mechanism, data):
    known = (data.login, data.password) == (b"earwitness", PASSWORD.encode())
    return AuthResult(success=known, handled=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(file)
    return ca, file


@pytest.fixture
async def serve(authority):
    """Start mail servers; each call returns what takes the mails, and its port."""
    servers = []

    async def start(security="starttls", name="localhost", **more):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority[0].issue_cert(name).configure_cert(context)
        handler = MailServer()
        if security == "starttls":
            more |= {"tls_context": context, "require_starttls": True, "authenticator": authenticator}
        elif security == "tls":
            more |= {"authenticator": authenticator, "auth_require_tls": False}
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(handler, hostname="mail.test", **more),
            "localhost",
            0,
            ssl=context if security == "tls" else None,
        )
        servers.append(server)
        return handler, server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def storage(tmp_path):
    return EvidenceStorage(tmp_path / "evidence")


@pytest.fixture
def section(authority):
    return SECTION | {"host": "localhost", "ca_file": authority[1], "username": "earwitness", "password": PASSWORD}


async def tell(spec, told, storage, reference=None):
    parcel = Parcel(told.key, KIND.render(spec, told), 0.0, reference)
    senders = Senders(None, storage.path)
    return await converse(KIND.talk(spec, parcel), senders, spec, 20.0, 20.0)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_arrives_encrypted_in_text_and_html_with_its_recording(serve, section, storage, security):
    server, port = await serve(security)
    saved = await storage.save(b"RIFF" + b"\0" * 5000, kind="recording", media_type="audio/wav", name="call.wav")
    told = replace(opened(), incident=replace(opened().incident, evidence=(saved,)))
    outcome = await tell(EmailSpec(**section, port=port, security=security), told, storage)
    assert (outcome.result, outcome.detail) == ("delivered", "SMTP 250 2.0.0 queued as 42")
    (mail,) = server.mails
    assert server.recipients == [["on-call@shop.example", "boss@shop.example"]]
    assert mail["Subject"] == told.title
    assert mail["Message-ID"] == f"<{told.key}@monitor.example>"
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", "high")
    assert told.url in mail.get_body(("plain",)).get_content()
    assert "got 502 &lt;html&gt; &amp; more" in mail.get_body(("html",)).get_content()
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("call.wav", "audio/wav")
    assert hashlib.sha256(attached.get_content()).hexdigest() == saved.sha256


async def test_the_mails_of_an_incident_make_a_thread(serve, section, storage):
    server, port = await serve()
    spec = EmailSpec(**section, port=port)
    first = await tell(spec, opened(), storage)
    await tell(spec, resolved(), storage, first.reference)
    start, end = server.mails
    assert end["In-Reply-To"] == end["References"] == start["Message-ID"] == first.reference
    assert end["Message-ID"] != start["Message-ID"]
    assert end["Subject"].startswith("Sev1, resolved: ")


async def test_every_attempt_sends_the_same_mail(serve, section, storage):
    server, port = await serve()
    for _ in range(2):
        await tell(EmailSpec(**section, port=port), opened(), storage)
    first, second = server.mails
    assert first.as_bytes() == second.as_bytes()


async def test_a_recording_over_the_limit_or_gone_is_linked_and_not_attached(serve, section, storage):
    server, port = await serve()
    for limit in ("1kB", "5MB"):
        outcome = await tell(EmailSpec(**section, port=port, attach_up_to=limit), opened(), storage)
        assert outcome.result == "delivered"
    for mail in server.mails:
        assert list(mail.iter_attachments()) == []
        assert "/api/v1/evidence/" + "a" * 64 in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("command", "answer", "result", "reason"),
    [
        ("DATA", "451 4.3.0 try again later", "retry", Reason.SERVER_ERROR),
        ("DATA", "552 5.2.2 mailbox full", "refused", Reason.REJECTED),
        ("DATA", "554 5.7.1 looks like spam", "refused", Reason.REJECTED),
    ],
)
async def test_4xx_is_tried_again_and_5xx_is_final(serve, section, storage, command, answer, result, reason):
    server, port = await serve()
    server.answers[command] = [answer]
    outcome = await tell(EmailSpec(**section, port=port), opened(), storage)
    assert (outcome.result, outcome.reason, outcome.detail) == (result, reason, f"SMTP {answer}")


async def test_who_is_put_off_is_tried_again_and_nobody_gets_it_twice(serve, section, storage):
    server, port = await serve()
    spec = EmailSpec(**section, port=port)
    greylisted = "450 4.2.0 greylisted, try again in 5 minutes"
    server.answers["RCPT"] = [greylisted]
    first = await tell(spec, opened(), storage)
    assert (first.result, first.detail) == ("retry", "SMTP 450 taken for all but 1 of 2 recipients")
    server.answers["RCPT"] = [greylisted]
    still = await tell(spec, opened(), storage, first.reference)
    assert still.result == "retry"
    second = await tell(spec, opened(), storage, still.reference or first.reference)
    assert second.result == "delivered"
    assert server.recipients == [["boss@shop.example"], ["on-call@shop.example"]]
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]
    assert "In-Reply-To" not in server.mails[1]
    await tell(spec, resolved(), storage, second.reference)
    assert server.recipients[2] == ["on-call@shop.example", "boss@shop.example"]
    assert server.mails[2]["In-Reply-To"] == server.mails[0]["Message-ID"]


async def test_who_had_it_hears_of_the_end_though_another_is_refused_at_last(serve, section, storage):
    server, port = await serve()
    spec = EmailSpec(**section, port=port)
    server.answers["RCPT"] = ["450 4.2.0 greylisted"]
    first = await tell(spec, opened(), storage)
    server.answers["RCPT"] = ["550 5.1.1 no such user"]
    second = await tell(spec, opened(), storage, first.reference)
    assert second.result == "delivered"
    assert second.detail.startswith("others have it; SMTP 550")
    await tell(spec, resolved(), storage, second.reference)
    assert server.mails[-1]["In-Reply-To"] == server.mails[0]["Message-ID"]


async def test_recipients_are_refused_one_by_one(serve, section, storage):
    server, port = await serve()
    spec = EmailSpec(**section, port=port)
    server.answers["RCPT"] = ["550 5.1.1 no such user"]
    outcome = await tell(spec, opened(), storage)
    assert (outcome.result, outcome.detail) == ("delivered", "SMTP 250 taken for all but 1 of 2 recipients")
    assert server.recipients == [["boss@shop.example"]]
    server.answers["RCPT"] = ["550 5.1.1 no such user", "450 4.2.1 busy"]
    assert (await tell(spec, opened(), storage)).result == "retry", "one of them may yet take it"
    server.answers["RCPT"] = ["550 5.1.1 no such user"] * 2
    assert (await tell(spec, opened(), storage)).result == "refused"


async def test_a_wrong_password_is_tried_again_as_it_may_be_put_right(serve, section, storage):
    _, port = await serve()
    outcome = await tell(EmailSpec(**section | {"password": "hunter3"}, port=port), opened(), storage)
    assert (outcome.result, outcome.reason, outcome.detail) == ("retry", Reason.AUTHENTICATION, "SMTP 535")


async def test_a_server_without_starttls_is_told_nothing(serve, section, storage):
    server, port = await serve("none")
    outcome = await tell(EmailSpec(**section, port=port), opened(), storage)
    assert (outcome.result, outcome.reason) == ("retry", Reason.TLS)
    assert server.mails == []


async def test_a_certificate_of_another_name_is_not_accepted(serve, section, storage):
    server, port = await serve("tls", name="other.example")
    outcome = await tell(EmailSpec(**section, port=port, security="tls"), opened(), storage)
    assert (outcome.result, outcome.reason) == ("retry", Reason.TLS)
    assert server.mails == []


async def test_a_relay_on_this_machine_needs_neither(serve, storage):
    server, port = await serve("none")
    spec = EmailSpec(**SECTION, host="localhost", port=port, security="none")
    assert (await tell(spec, opened(), storage)).result == "delivered"
    assert len(server.mails) == 1


async def test_a_server_that_is_not_there_or_says_nothing_is_tried_again(section, storage):
    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "localhost", 0)
    port = silent.sockets[0].getsockname()[1]
    spec = EmailSpec(**section, port=port)
    mail = next(KIND.talk(spec, Parcel("k", KIND.render(spec, opened()), 0.0)))
    assert (await send_mail(mail, storage.path, 0.2)).reason is Reason.TIMEOUT
    silent.close()
    gone = await send_mail(mail, storage.path, 5.0)
    assert isinstance(gone, HookOutcome)
    assert (gone.result, gone.reason) == ("retry", Reason.CONNECTION)


@asynccontextmanager
async def mail_server(answered):
    """Yield a mail of ours to a server that takes everything, and awaits `answered` with a command when it has answered it."""

    async def serve(reader, writer):
        answers = {b"DATA\r\n": b"354 go on\r\n", b"QUIT\r\n": b"221 bye\r\n"}
        text = False  # whether what comes is the mail itself
        writer.write(b"220 mail.test\r\n")
        await answered(b"")
        while line := await reader.readline():
            if not text or line == b".\r\n":
                text = line == b"DATA\r\n"
                writer.write(answers.get(line, b"250 OK\r\n"))
                await answered(line)

    async with raw_server(serve) as port:
        spec = EmailSpec(**SECTION, host="127.0.0.1", port=port, security="none")
        yield next(KIND.talk(spec, Parcel("k", KIND.render(spec, opened()), 0.0)))


async def stopped(storage, answer, turns):
    """Stop sending so many turns of the loop after this answer; return whether it was still asked to stop, and whether it did."""
    asked = []

    async def stop(line):
        if line.startswith(answer) and bool(line) == bool(answer):
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.append(sending.cancel())

    async with mail_server(stop) as mail, asyncio.timeout(10):
        sending = asyncio.create_task(send_mail(mail, storage.path, 8.0))
        await asyncio.wait([sending])
    return any(asked), sending.cancelled()


@pytest.mark.parametrize("answer", [b"", b"EHLO", b"MAIL", b"RCPT", b"DATA", b".\r\n", b"QUIT"])
async def test_who_is_stopped_as_the_server_answers_stops(storage, answer):
    """asyncio.wait_for of Python 3.11 forgets that it was cancelled when it has what it waited for: the courier would go on for ever."""
    for turns in range(12):
        asked, ended = await stopped(storage, answer, turns)
        assert ended == asked, turns


async def test_who_is_stopped_while_the_server_says_nothing_stops_at_once(storage):
    reached, told = asyncio.Event(), asyncio.Event()

    async def hang(line):
        if line.startswith(b"RCPT"):
            reached.set()
            await told.wait()

    async with mail_server(hang) as mail, asyncio.timeout(10):
        sending = asyncio.create_task(send_mail(mail, storage.path, 8.0))
        await reached.wait()
        sending.cancel()
        ended, _ = await asyncio.wait([sending], timeout=2)
        told.set()
    assert ended, "a daemon that stops would wait for it"


async def test_a_mail_that_was_taken_is_taken_however_long_the_server_takes_to_say_goodbye(storage):
    told = asyncio.Event()

    async def hang_at_the_end(line):
        if line.startswith(b".\r\n"):
            await told.wait()

    async with mail_server(hang_at_the_end) as mail, asyncio.timeout(10):
        answer = await send_mail(mail, storage.path, 0.5)
        told.set()
    assert answer == Reply(250, body=b"OK")


def test_a_line_break_in_a_title_makes_no_header():
    told = replace(opened(), title="Sev1\r\nBcc: everybody@shop.example")
    (mail,), _ = held(KIND, EmailSpec(**SECTION, host="mail.example"), told, Reply(250))
    assert mail.headers["Subject"] == "Sev1 Bcc: everybody@shop.example"
    assert json.dumps(mail.headers).count("Bcc") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"to": ["nobody"]}, "not a mail address"),
        ({"to": ["jörg@shop.example"]}, "plain ASCII"),
        ({"from": "a@b.example\nBcc: c@d.example"}, "not a mail address"),
        ({"username": "x"}, "belong together"),
        ({"username": "x", "password": "y", "security": "none"}, "in clear"),
    ],
)
def test_a_wrong_section_is_told(more, message):
    with pytest.raises(ValidationError, match=message):
        EmailSpec.model_validate(SECTION | {"host": "mail.example"} | more)
