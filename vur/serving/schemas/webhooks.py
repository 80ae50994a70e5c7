"""Bodies of the endpoints for webhooks."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.texts import Title
from vur.store.webhooks.address import LONGEST
from vur.store.webhooks.kinds import KINDS, TEST
from vur.store.webhooks.kinds import example as example_of

if TYPE_CHECKING:
    Event = str
    Delivered = str
else:
    Event = Literal[*KINDS]
    Delivered = Literal[(*KINDS, TEST)]
Name = Annotated[Title, Field(min_length=1, max_length=200)]
Url = Annotated[Title, Field(min_length=1, max_length=LONGEST)]
Events = Annotated[list[Event], Field(min_length=1, max_length=len(KINDS))]
Scope = Literal["own", "all"]
State = Literal["pending", "succeeded", "failed", "cancelled"]
URL = "https://n8n.example/webhook/4f6b0c1e"


class WebhookNew(Body):
    """A webhook to make."""

    model_config = example({"name": "N8N", "url": URL, "events": ["training.finished", "alert.raised"]})
    name: Name
    url: Url = Field(description="http or https; its host may not lead to an inner address, unless an admin allowed it")
    events: Events
    scope: Scope = Field("own", description="`own`: events of your objects; `all`: of everything that you may see")


class WebhookChange(Body):
    """Fields to change; omitted fields stay."""

    model_config = example({"active": True}, {"url": URL, "events": ["alert.raised"]})
    name: Name | None = None
    url: Url | None = None
    events: Events | None = None
    scope: Scope | None = None
    active: bool | None = Field(None, description="Switching it on forgets its failures; off cancels what waits")


class WebhookOut(BaseModel):
    """A webhook, without its secret."""

    id: str
    name: str
    url: str
    events: list[str]
    scope: Scope
    active: bool
    off_reason: Literal["gone", "failing"] | None = Field(
        description="Why it was switched off: `gone` by an answer 410, `failing` after many failures; null by a user"
    )
    failures: int = Field(description="Calls that failed one after the other")
    last_at: datetime | None = Field(description="Time of the last call")
    last_status: int | None = Field(description="HTTP status of the last call, if there was an answer")
    waiting: int = Field(description="Deliveries that are not over yet")
    owner_id: str
    created_at: datetime
    updated_at: datetime
    version: int


class WebhookMade(WebhookOut):
    """A webhook with its new secret, which is shown only in this answer."""

    secret: str


class WebhookList(BaseModel):
    """A page of webhooks."""

    items: list[WebhookOut]
    total: int
    page: int
    limit: int
    pages: int


class WebhookEvent(BaseModel):
    """A kind of event."""

    event: Delivered
    title: str
    description: str
    example: dict[str, Any] = Field(examples=[example_of("training.finished")])


class WebhookEvents(BaseModel):
    """All kinds of events."""

    items: list[WebhookEvent]


class DeliveryOut(BaseModel):
    """A delivery: an event on its way to a webhook."""

    id: str
    webhook_id: str
    event_id: str = Field(description="The same for all deliveries of one event")
    event: Delivered
    object_kind: str | None
    object_id: str | None
    state: State
    attempts: int
    next_attempt_at: datetime | None
    status: int | None = Field(description="HTTP status of the last attempt")
    excerpt: str | None = Field(description="The beginning of the last answer")
    code: str | None = Field(description="What went wrong at the last attempt, for programs")
    detail: str | None = Field(description="What went wrong at the last attempt, in words")
    seconds: float | None = Field(description="Time that the last attempt took")
    created_at: datetime
    ended_at: datetime | None


class DeliveryWhole(DeliveryOut):
    """A delivery with its body."""

    payload: dict[str, Any] = Field(examples=[example_of("alert.raised")])


class DeliveryList(BaseModel):
    """A page of deliveries."""

    items: list[DeliveryOut]
    total: int
    page: int
    limit: int
    pages: int
