"""Bodies of user administration and sharing."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.languages import DEFAULT_LANGUAGE, LanguageCode
from vur.serving.schemas.auth import Email, Password, Role, UserOut
from vur.serving.schemas.body import Body
from vur.serving.schemas.texts import Line, Title

Right = Literal["view", "edit"]


class UserList(BaseModel):
    """A page of users."""

    items: list[UserOut]
    total: int
    page: int
    limit: int
    pages: int


class NewUser(Body):
    """An account created by an administrator."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "bia@example.com", "password": "nine correct horses", "role": "viewer"}]
        }
    )

    email: str = Email
    password: str = Password
    username: Annotated[Title, Field(max_length=64)] | None = None
    full_name: Annotated[Line, Field(max_length=200)] = ""
    role: Role = "analyst"
    language: LanguageCode = DEFAULT_LANGUAGE
    quota_bytes: int | None = Field(default=None, ge=0, le=2**62)


class UserChange(Body):
    """Fields to change; omitted fields stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"role": "viewer"}, {"active": False}, {"quota_bytes": 10737418240}]}
    )

    role: Role | None = None
    active: bool | None = None
    quota_bytes: int | None = Field(
        default=None, ge=0, le=2**62, description="null means the setting `quota_bytes`, 0 no limit"
    )
    full_name: Annotated[Line, Field(max_length=200)] | None = None
    password: str | None = Field(
        default=None, min_length=1, max_length=256, description="Sets a new password and ends all sessions"
    )


class Ended(BaseModel):
    """Number of sessions that were ended."""

    ended: int


class ShareIn(Body):
    """A user and the permission to grant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "bia@example.com", "right": "edit"}]})

    email: str = Email
    right: Right = "view"


class ShareOut(BaseModel):
    """A user's permission on an object."""

    user_id: str
    email: str
    full_name: str
    right: Right
    created_at: datetime


class Person(BaseModel):
    """A user to share with."""

    model_config = ConfigDict(from_attributes=True)

    email: str
    full_name: str


class PeopleList(BaseModel):
    """People to share with."""

    items: list[Person]


class ShareList(BaseModel):
    """The shares of an object."""

    items: list[ShareOut]
