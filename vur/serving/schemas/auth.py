"""Bodies of the account endpoints."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from vur.languages import LanguageCode
from vur.serving.schemas.body import Body
from vur.serving.schemas.texts import Line, Title

Role = Literal["viewer", "analyst", "admin"]
Email = Field(min_length=3, max_length=254, examples=["ana@example.com"])
Password = Field(min_length=1, max_length=256, examples=["nine correct horses"])


class UserOut(BaseModel):
    """A user, without secrets."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str
    username: str
    full_name: str
    role: Role
    active: bool
    language: str
    quota_bytes: int | None = Field(description="Bytes that the user may store; null means the setting `quota_bytes`")
    created_at: datetime
    last_login_at: datetime | None
    version: int


class Registration(Body):
    """A new account. Its role is analyst."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ana@example.com", "password": "nine correct horses", "full_name": "Ana Souza"}]
        }
    )

    email: str = Email
    password: str = Password
    username: Annotated[Title, Field(max_length=64)] | None = None
    full_name: Annotated[Line, Field(max_length=200)] = ""
    language: LanguageCode | None = None


class Credentials(Body):
    """A login by e-mail address or user name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ana@example.com", "password": "nine correct horses"}]}
    )

    email: str | None = Field(None, max_length=254)
    username: str | None = Field(None, max_length=254)
    password: str = Password

    @model_validator(mode="after")
    def _named(self) -> "Credentials":
        if not (self.email or self.username):
            raise PydanticCustomError("no_name", "email or username is required")
        return self

    @property
    def login(self) -> str:
        """Return the e-mail address or user name."""
        return self.email or self.username or ""


class Tokens(BaseModel):
    """Tokens of a session: send `access_token` with every request; exchange `refresh_token` once for the next pair."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds until the access token expires")
    user: UserOut


class Refresh(Body):
    """The refresh token of the last login or refresh."""

    refresh_token: str = Field(min_length=1, max_length=512, examples=["0f3a...ZW4"])


class Logout(Body):
    """Which sessions to end."""

    all: bool = Field(False, description="End all your sessions, not only this one", examples=[True])


class ProfileChange(Body):
    """Fields to change; omitted fields stay. E-mail address and password need the current password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"full_name": "Ana Souza", "language": "pt-BR"},
                {"password": "ten correct horses", "current_password": "nine correct horses"},
            ]
        }
    )

    full_name: Annotated[Line, Field(max_length=200)] | None = None
    language: LanguageCode | None = None
    email: str | None = Field(None, min_length=3, max_length=254)
    username: Annotated[Title, Field(min_length=1, max_length=64)] | None = None
    password: str | None = Field(None, min_length=1, max_length=256)
    current_password: str | None = Field(None, min_length=1, max_length=256)


class Profile(UserOut):
    """The changed profile; after a password change with a new access token, because older ones are revoked."""

    access_token: str | None = None
    expires_in: int | None = None


class LoginOut(BaseModel):
    """An active session."""

    id: str
    agent: str = Field(description="User agent of the client")
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool = Field(description="Whether this request belongs to the session")


class LoginList(BaseModel):
    """Sessions, latest first."""

    items: list[LoginOut]


class NewKey(Body):
    """A personal key for a program."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "nightly batch", "role": "viewer", "days": 90}]})

    name: Annotated[Title, Field(min_length=1, max_length=100)]
    role: Role | None = Field(None, description="The key's role is at most this; null means the user's current role")
    days: int | None = Field(None, ge=1, le=3650, description="Days until the key expires; null means never")


class KeyOut(BaseModel):
    """A personal key as its owner sees it later."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    prefix: str
    role: Role | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeyMade(KeyOut):
    """A new personal key; `key` is never shown again."""

    key: str


class KeyList(BaseModel):
    """Personal keys, newest first."""

    items: list[KeyOut]
