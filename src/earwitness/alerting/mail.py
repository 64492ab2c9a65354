"""Mail by SMTP (RFC 5321), over STARTTLS (RFC 3207) or TLS from the first byte (RFC 8314), off the event loop by being async."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import aiosmtplib
import structlog

from earwitness.hooks.base import DEFERRED, HookOutcome, Mail, MailServer, Reason, Reply
from earwitness.model import Evidence

log = structlog.get_logger()
_FAREWELL = 1.0  # seconds that a server has to answer our goodbye


async def send_mail(mail: Mail, files: Callable[[str], Path], seconds: float) -> Reply | HookOutcome:
    """Return the server's answer with its SMTP code as status and its words as body, or why there is none."""
    try:
        with contextlib.closing(_client(mail.server)) as smtp:
            async with asyncio.timeout(seconds):
                message = await asyncio.to_thread(compose, mail, files)
                answer = await _handed_over(smtp, mail, message)
            await _say_goodbye(smtp)  # out of that time: what was taken is taken, however long the server takes to part
            return answer
    except TimeoutError:
        return HookOutcome("retry", Reason.TIMEOUT, f"no answer within {seconds:g} s")
    except (aiosmtplib.SMTPException, OSError) as error:
        return _unreached(error)


def _said(refusal: aiosmtplib.SMTPResponseException | aiosmtplib.SMTPRecipientsRefused) -> Reply:
    if isinstance(refusal, aiosmtplib.SMTPRecipientsRefused):
        mildest = min(refusal.recipients, key=lambda r: r.code)  # a temporary refusal of one is worth another try
        return Reply(mildest.code, body=mildest.message.encode())
    if isinstance(refusal, aiosmtplib.SMTPAuthenticationError):
        return Reply(refusal.code)  # without its words, which may hold what we authenticated with
    return Reply(refusal.code, body=refusal.message.encode())


def _unreached(error: Exception) -> HookOutcome:
    """Say why nobody took the mail. A server without STARTTLS is never told anything in clear."""
    if isinstance(error, aiosmtplib.SMTPNotSupported) or "STARTTLS" in str(error):
        return HookOutcome("retry", Reason.TLS, "the server offers no STARTTLS or no log-in; nothing was sent in clear")
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return HookOutcome("retry", Reason.TLS, "the server's certificate or its TLS was not accepted")
    return HookOutcome("retry", Reason.CONNECTION, type(error).__name__)


def _client(server: MailServer) -> aiosmtplib.SMTP:
    """Return a client without a time limit: with one it asks asyncio.wait_for, which in Python 3.11 may forget that it was cancelled."""
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        timeout=None,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=None if server.security == "none" else _context(server),
    )


async def _handed_over(smtp: aiosmtplib.SMTP, mail: Mail, message: EmailMessage) -> Reply:
    """Return what the server said to the mail, or to one of our first words."""
    server = mail.server
    try:
        await smtp.connect()
        if server.username is not None and server.password is not None:
            await smtp.login(server.username, server.password.reveal())
        refused, answer = await smtp.sendmail(mail.sender, list(mail.recipients), message.as_bytes(policy=SMTP))
    except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused) as refusal:
        return _said(refusal)
    return _taken(mail, {address: code for address, (code, _) in refused.items()}, answer)


async def _say_goodbye(smtp: aiosmtplib.SMTP) -> None:
    """Wait a moment for the answer; without it the connection is closed all the same."""
    with contextlib.suppress(TimeoutError, aiosmtplib.SMTPException):
        async with asyncio.timeout(_FAREWELL):
            await smtp.quit()


def _taken(mail: Mail, refused: dict[str, int], answer: str) -> Reply:
    """Say that the mail was taken; with the code of those who are to be tried again, such as by greylisting, and their addresses."""
    if not refused:
        return Reply(250, body=answer.encode())
    words = f"taken for all but {len(refused)} of {len(mail.recipients)} recipients".encode()
    later = [address for address in mail.recipients if 400 <= refused.get(address, 0) < 500]
    if not later:
        return Reply(250, body=words)
    return Reply(refused[later[0]], {DEFERRED: " ".join(later)}, words)


def _context(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def compose(mail: Mail, files: Callable[[str], Path]) -> EmailMessage:
    """Return the message: text, the same in HTML, and the attachments that are still there. The same on every attempt."""
    message = EmailMessage(policy=SMTP)
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    for file in mail.attachments:
        content = _content(files(file.sha256), file)
        if content is not None:
            main, _, sub = file.media_type.partition("/")
            message.add_attachment(content, maintype=main, subtype=sub, filename=file.name)
    _mark_boundaries(message, mail.headers["Message-ID"].strip("<>"))
    return message


def _content(path: Path, file: Evidence) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:  # The mail links to it as well, and an alert is worth more than its attachment.
        log.warning("attachment_missing", sha256=file.sha256, error=error.strerror)
        return None


def _mark_boundaries(message: EmailMessage, key: str) -> None:
    word = "".join(c if c.isalnum() else "-" for c in key)[:50]
    multiparts = [part for part in message.walk() if part.is_multipart()]
    for number, part in enumerate(multiparts):
        part.set_boundary(f"={word}={number}=")
