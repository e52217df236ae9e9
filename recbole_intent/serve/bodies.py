"""Bodies of requests and responses, with the bounds of a request."""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from recbole_intent.data.formats.ids import raw_id

MAX_ROWS = 256  # users or histories of a request
MAX_ITEMS = 1000  # items of a history
MAX_K = 1000  # items of a list


_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
User = Annotated[str, BeforeValidator(partial(raw_id, where="users", name="user")), _SCHEMA]
Item = Annotated[str, BeforeValidator(partial(raw_id, where="histories", name="item")), _SCHEMA]
Rows = Field(None, min_length=1, max_length=MAX_ROWS)


class Asked(BaseModel):
    """Users of the dataset, or new histories."""

    model_config = ConfigDict(extra="forbid", strict=True)
    users: Annotated[list[User] | None, Rows, Field(examples=[["196", "22"]])] = None
    histories: Annotated[
        list[Annotated[list[Item], Field(max_length=MAX_ITEMS)]] | None,
        Rows,
        Field(description="item ids, the oldest first, instead of `users`"),
    ] = None
    skip_unknown: bool = Field(
        False, description="leave out items of histories that the dataset lacks, and list them"
    )

    @model_validator(mode="after")
    def _is_either(self) -> Self:
        if (self.users is None) == (self.histories is None):
            raise ValueError("give either users or histories")
        return self


class AskedLists(Asked):
    """A request for lists of items."""

    k: int = Field(10, ge=1, le=MAX_K, description="items per list")
    exclude_seen: bool = Field(True, description="leave out items of the history")


class AskedIntents(Asked):
    """A request for the intents behind lists."""

    n_items: int = Field(3, ge=1, le=100, description="nearest items of the history per intent")


class ListedItem(BaseModel):
    """An item of a list."""

    item_id: str
    title: str | None = None
    score: float


class ItemList(BaseModel):
    """The items for one user or history, the best first."""

    user_id: str | None = None
    source: Literal["model", "popular"] = Field(
        description="popular: the history has no known item, and scores are interactions"
    )
    items: list[ListedItem]


class Lists(BaseModel):
    """One list for each user or history of the request, in its order."""

    lists: list[ItemList]
    unknown: list[str] | None = Field(None, description="items that were left out")


class SimilarItem(BaseModel):
    """An item and the cosine between its vector and that of the item of the request."""

    item_id: str
    title: str | None = None
    cosine: float


class Similar(BaseModel):
    """The items most similar to one, the nearest first."""

    items: list[SimilarItem]


class NearItem(SimilarItem):
    """An item of a history, near to an intent."""


class ListedIntent(BaseModel):
    """An intent: its share in the decision, 0 .. 1, and what describes it."""

    weight: float
    text: str | None = None
    items: list[NearItem]


class UserIntents(BaseModel):
    """The intents of one user or history."""

    user_id: str | None = None
    intents: list[ListedIntent]


class Intents(BaseModel):
    """The intents of each user or history of the request, in its order."""

    lists: list[UserIntents]
    unknown: list[str] | None = Field(None, description="items that were left out")


class Health(BaseModel):
    """What is served."""

    status: Literal["ok"] = "ok"
    run: str
    model: str
    dataset: str
    users: int
    items: int
    takes_histories: bool
    has_intents: bool
    waiting: int = Field(description="users, histories and items that wait for the model")
    version: str
