"""Who can be told besides a job's own webhooks: the owner's table `[notify]`. Jobs name targets, by their names."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from supervisor.notifications.webhookurl import WebhookError, check_url

MOST_TARGETS = 100
SecretName = Annotated[str, StringConstraints(pattern=r"^([A-Z_][A-Z0-9_]{0,63})?$")]
TargetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]


def _url(url: str) -> str:
    try:
        if url:
            check_url(url)
    except WebhookError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return url


class Target(BaseModel):
    """One receiver. Exactly one of `url` and `apprise` says where it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[
        str, AfterValidator(_url), Field(max_length=4096, description="Where to POST status, reason and ids as JSON.")
    ] = ""
    apprise: Annotated[
        SecretName, Field(description="The secret that holds an Apprise URL (mail, chat, phone …) instead.")
    ] = ""
    token: Annotated[SecretName, Field(description="The secret sent as `Authorization: Bearer`. Empty: none.")] = ""
    key: Annotated[SecretName, Field(description="The secret that signs. Empty: that of `[notify]`.")] = ""
    answer: Annotated[bool, Field(description="Whether the first 1000 characters of the answer are told, as text.")] = (
        False
    )
    every_run: Annotated[
        bool, Field(description="Whether every end is told, rather than one alert per incident and its recovery.")
    ] = False

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.url) == bool(self.apprise):
            raise ValueError("needs exactly one of url and apprise")
        return self


class Notify(BaseModel):
    """What holds for all that is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[
        SecretName,
        Field(description="The secret (whsec_ and base64) that signs webhooks. Empty: they are not signed."),
    ] = ""
    timeout_seconds: Annotated[
        float, Field(gt=0, le=60, allow_inf_nan=False, description="Seconds that a receiver gets for each try.")
    ] = 10.0
    expire_hours: Annotated[
        int, Field(ge=1, le=720, description="Hours after which what could not be told is given up.")
    ] = 72
    remind_hours: Annotated[
        int, Field(ge=0, le=8760, description="Hours after which a job that still fails is told of again. 0: never.")
    ] = 24
    most_waiting: Annotated[
        int, Field(ge=10, le=100_000, description="How many ends may wait to be told; beyond, the oldest is dropped.")
    ] = 2000
    private_hosts: Annotated[
        tuple[HostName, ...],
        BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),  # TOML has no tuples
        Field(max_length=100, description="Names of receivers that may lie at private addresses."),
    ] = ()
    targets: Annotated[
        dict[TargetName, Target], Field(max_length=MOST_TARGETS, description="Receivers that jobs can name.")
    ] = {}


EXAMPLE = """
# A receiver that jobs can name (`cronward add --notify phone`); there can be many such tables.
# [notify.targets.phone]
# apprise = "PHONE_URL"
# answer = false
# every_run = false
# [notify.targets.ops]
# url = "https://hooks.example.org/cronward"
# token = "OPS_TOKEN"
# key = "OPS_KEY"
""".strip("\n")
