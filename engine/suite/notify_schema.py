"""Whom a run tells how it ended: the keys of an entry of `notify`."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from engine.fields.file_model import FileModel
from engine.fields.values import Text, expected
from engine.suite.suite import MailConfig, NoticeConfig

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
# Whoever knows such a URL can post to its channel.
_SECRET_HOSTS = re.compile(
    r"hooks\.slack\.com|.*\.webhook\.office\.com|.*\.logic\.azure\.com|.*\.powerplatform\.com"
    r"|discord(app)?\.com"
)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def _check_webhook(text: str) -> str:
    if _VARIABLE.search(text) and "${" not in _VARIABLE.sub("", text):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        raise expected("a URL such as https://host/path, or ${NAME} of the environment") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise expected("a URL such as https://host/path, or ${NAME} of the environment")
    secret = parts.username or parts.password or parts.query
    if secret or _SECRET_HOSTS.fullmatch(parts.hostname):
        raise expected(
            "${NAME}, a variable of the environment that has it: whoever knows this URL can post "
            "there, and a suite is stored"
        )
    return text


def _check_server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise expected("HOST:PORT, such as smtp.example.com:587")
    return text


def _check_secret(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise expected("a variable of the environment, such as ${SMTP_PASSWORD}")
    return text


def _check_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise expected("an address such as team@example.com")
    return text


Address = Annotated[Text, AfterValidator(_check_address)]


class MailFile(FileModel):
    """A message by mail."""

    to: list[Address] = Field(min_length=1, description="The addresses that get it.")
    sender: Address = Field(description="The address that it is from.")
    server: Annotated[Text, AfterValidator(_check_server)] = Field(
        description="The server that takes it: HOST:PORT."
    )
    tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="starttls: encrypted after a greeting; tls: from the start; none: not at all.",
    )
    user: Text | None = Field(None, description="Who logs in there; default: nobody does.")
    password: Annotated[Text, AfterValidator(_check_secret)] | None = Field(
        None, description="The variable of the environment that has the password: ${NAME}."
    )

    @model_validator(mode="after")
    def _check_login(self) -> MailFile:
        if (self.user is None) is not (self.password is None):
            raise expected("user and password, or neither")
        return self


class NotifyFile(FileModel):
    """Who is told how a run ended, and when."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["webhook"]}, {"required": ["mail"]}]}
    )

    webhook: Annotated[Text, AfterValidator(_check_webhook)] | None = Field(
        None, description="A URL that takes a POST: https://host/path, or ${NAME}."
    )
    mail: MailFile | None = Field(None, description="Addresses that get a mail.")
    on: list[Literal["failed", "error", "recovered", "undecided", "passed"]] = Field(
        ["failed", "error", "recovered"],
        min_length=1,
        description="failed, error, passed: the gate's; recovered: passed after it had not; "
        "undecided: passed with cells that could not be decided, for `nights` runs.",
    )
    format: Literal["auto", "slack", "teams", "json"] = Field(
        "auto", description="What a webhook is sent; auto: by its host, json where none is known."
    )
    nights: int = Field(
        3, ge=1, le=365, description="The runs in a row for which `undecided` is told."
    )
    link: Text | None = Field(
        None,
        description="Where a reader finds the report, with {run_id} in it; default: its path.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> NotifyFile:
        if (self.webhook is None) is (self.mail is None):
            raise expected("webhook or mail, one of the two")
        return self

    def config(self) -> NoticeConfig:
        """The entry as the engine works with it."""
        mail = None
        if self.mail is not None:
            own = self.mail
            mail = MailConfig(
                tuple(own.to), own.sender, own.server, own.tls, own.user, own.password
            )
        on = tuple(dict.fromkeys(self.on))
        return NoticeConfig(self.webhook, mail, on, self.format, self.nights, self.link)
