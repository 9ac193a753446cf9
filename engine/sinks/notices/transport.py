"""How a message gets there: a POST, or a mail. What fails is said, without what may be secret."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from email.message import EmailMessage
from urllib.parse import urlsplit

from engine.core.environment import fill_variables
from engine.sinks.notices.message import Message, as_json, as_slack, as_teams
from engine.suite import MailConfig, NoticeConfig

SECONDS = 10.0
_TRIES = 3
_AGAIN = frozenset({429, 500, 502, 503, 504})
_FORMATS = {"slack": as_slack, "teams": as_teams, "json": as_json}
_SLACK = re.compile(r"hooks\.slack\.com")
_TEAMS = re.compile(r".*\.webhook\.office\.com|.*\.logic\.azure\.com|.*\.powerplatform\.com")


def send_message(message: Message, notice: NoticeConfig) -> str | None:
    """Sends a message; gives what went wrong, None where it was taken."""
    try:
        if notice.mail is not None:
            return _mail(message, notice.mail)
        return _post(message, fill_variables(str(notice.webhook)), notice.format)
    except KeyError as error:
        return f"the variable {error.args[0]!r} of the environment is not set"


def place_of(notice: NoticeConfig) -> str:
    """Who is told, in words that hold no secret."""
    if notice.mail is not None:
        return f"{', '.join(notice.mail.to)} by {notice.mail.server}"
    return f"the webhook {notice.webhook}"


def format_of(url: str, asked: str) -> str:
    """What a webhook is sent: what the suite says, else by its host."""
    if asked != "auto":
        return asked
    host = urlsplit(url).hostname or ""
    if _SLACK.fullmatch(host):
        return "slack"
    return "teams" if _TEAMS.fullmatch(host) else "json"


def _post(message: Message, url: str, asked: str) -> str | None:
    import requests

    body = _FORMATS[format_of(url, asked)](message)
    problem = ""
    for left in reversed(range(_TRIES)):
        try:
            answer = requests.post(url, json=body, timeout=SECONDS, allow_redirects=False)
        except requests.exceptions.RequestException as error:
            # Its text has the URL.
            problem = f"nobody answered ({type(error).__name__})"
        except ValueError:
            return "it is no URL"
        else:
            if 200 <= answer.status_code < 300:
                return None
            problem = f"it answered {answer.status_code}"
            if answer.status_code not in _AGAIN:
                return problem
        if left:
            time.sleep(1.0)
    return problem


def _mail(message: Message, mail: MailConfig) -> str | None:
    letter = EmailMessage()
    letter["Subject"] = message.headline
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
    letter.set_content("\n".join(message.lines) + "\n")
    host, _, port = mail.server.rpartition(":")
    password = None if mail.password is None else fill_variables(mail.password)
    try:
        with _server(mail, host, int(port)) as server:
            if mail.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if mail.user is not None and password is not None:
                server.login(mail.user, password)
            refused = server.send_message(letter)
    except smtplib.SMTPResponseException as error:
        return f"the server answered {error.smtp_code}"
    except (smtplib.SMTPException, OSError) as error:
        return f"the server could not be used ({type(error).__name__})"
    return f"{', '.join(refused)} was refused" if refused else None


def _server(mail: MailConfig, host: str, port: int) -> smtplib.SMTP:
    host = host.removeprefix("[").removesuffix("]")
    if mail.tls == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
    return smtplib.SMTP(host, port, timeout=SECONDS)
