"""The HTTP application over a recommender."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recbole_intent.data.formats.ids import raw_id, shown
from recbole_intent.modeling.explain import ExplainsIntents
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.serve.batching import Batcher, BusyError
from recbole_intent.serve.bodies import (
    MAX_K,
    Asked,
    AskedIntents,
    AskedLists,
    Health,
    Intents,
    Lists,
    Similar,
)
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.version import __version__

MAX_BYTES = 4 << 20  # of a request's body
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "ids that the dataset lacks; `detail` names them"},
    413: {"description": f"a body of more than {MAX_BYTES >> 20} MiB"},
    422: {"description": "an invalid request; `detail` says what is wrong"},
    503: {"description": "too many requests wait"},
}


class _Work(NamedTuple):
    """What requests that share a pass have in common."""

    task: str  # lists, intents or similar
    rows: str  # users, histories or items
    size: int  # k, or n_items
    include_history: bool = False


def application(recommender: Recommender, run: str = "") -> FastAPI:
    """Return an ASGI application that answers with the recommender's own results.

    Args:
        recommender: it must not be used elsewhere while the application runs.
        run: name of the run, for `/health`.
    """
    batcher = Batcher(lambda work, rows: _answers(recommender, work, rows))
    known = {"users": set(recommender.user_ids[1:]), "items": set(recommender.item_ids[1:])}
    dataset = recommender.config["dataset"]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.work())
        yield
        task.cancel()
        batcher.close()

    app = FastAPIOffline(
        redoc_url=None,
        title=f"{recommender.config['model']} on {dataset}",
        version=__version__,
        description="Recommendations of a finished run. Ids are those of the raw data.",
        lifespan=lifespan,
    )
    app.state.batcher = batcher
    app.add_middleware(_BoundedBody)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UserError, _refused)
    app.add_exception_handler(BusyError, _busy)

    def unknown(kind: str, ids: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(one for one in ids if one not in known[kind]))

    def check(kind: str, ids: Iterable[str]) -> None:
        missing = unknown(kind, ids)
        if missing:
            named = ", ".join(map(shown, missing[:10])) + " …" * (len(missing) > 10)
            raise HTTPException(404, f"{kind} that {dataset} lacks: {named}")

    async def ask(asked: Asked, task: str, size: int, include: bool = False) -> dict[str, Any]:
        missing: list[str] | None = None
        rows: Sequence[Any] = asked.users or asked.histories or ()
        if asked.users is not None:
            check("users", asked.users)
        else:
            items = [item for history in rows for item in history]
            if asked.skip_unknown:
                missing = unknown("items", items)
                rows = [[i for i in history if i in known["items"]] for history in rows]
            else:
                check("items", items)
        of = "histories" if asked.users is None else "users"
        return {
            "lists": await batcher.ask(_Work(task, of, size, include), rows),
            "unknown": missing,
        }

    @app.get("/", include_in_schema=False)
    async def index() -> RedirectResponse:
        return RedirectResponse("docs")

    @app.get("/health")
    async def health() -> Health:
        """What is served."""
        return Health(
            run=run,
            model=recommender.config["model"],
            dataset=dataset,
            users=len(known["users"]),
            items=len(known["items"]),
            takes_histories=recommender.is_sequential,
            has_intents=isinstance(recommender.model, ExplainsIntents),
            waiting=batcher.waiting,
            version=__version__,
        )

    @app.post("/recommend", response_model=Lists, response_model_exclude_none=True,
              responses=_ERRORS)  # fmt: skip
    async def recommend(asked: AskedLists) -> Any:
        """The best items for users of the dataset, or for new histories."""
        return await ask(asked, "lists", asked.k, not asked.exclude_seen)

    @app.post("/explain", response_model=Intents, response_model_exclude_none=True,
              responses=_ERRORS)  # fmt: skip
    async def explain(asked: AskedIntents) -> Any:
        """The intents behind the lists, of a model that has them."""
        return await ask(asked, "intents", asked.n_items)

    @app.get("/similar", response_model=Similar, response_model_exclude_none=True,
             responses=_ERRORS)  # fmt: skip
    async def similar(
        item: str, k: Annotated[int, Query(ge=1, le=MAX_K, description="items of the list")] = 10
    ) -> Any:
        """The items whose vectors have the largest cosine with that of an item."""
        check("items", [raw_id(item, "item", "item")])
        (items,) = await batcher.ask(_Work("similar", "items", k), [item])
        return {"items": items}

    return app


def _answers(recommender: Recommender, work: _Work, rows: list[Any]) -> list[Any]:
    """The answers to the rows of several requests."""
    if work.task == "similar":
        table = recommender.similar_items(rows, work.size)
        columns = ["item_id", "title", "cosine"]
        return [_records(group, columns) for _, group in table.groupby("query", sort=True)]
    is_users = work.rows == "users"
    if work.task == "intents":
        call = recommender.explain_users if is_users else recommender.explain
        return call(rows, work.size)
    recommend = recommender.recommend_users if is_users else recommender.recommend
    table = recommend(rows, work.size, include_history=work.include_history)
    groups = dict(iter(table.groupby("history")))
    names = rows if is_users else [None] * len(rows)
    lists = []
    for number, name in enumerate(names, start=1):
        group = groups.get(number, table[:0])  # nobody has seen everything, but may have
        source = group["source"].iloc[0] if len(group) else "model"
        items = _records(group, ["item_id", "title", "score"])
        lists.append({"user_id": name, "source": source, "items": items})
    return lists


def _records(table: Any, columns: list[str]) -> list[dict[str, Any]]:
    return table[[name for name in columns if name in table]].to_dict("records")


class _BoundedBody:
    """Refuses a body of more than `MAX_BYTES` while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BYTES:
                raise HTTPException(413, f"the body has more than {MAX_BYTES >> 20} MiB")
            return message

        await self.app(scope, bounded, send)


# --- errors -------------------------------------------------------------------------------------


def _detail(status: int, text: str, **headers: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status, headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The first mistake in one line; FastAPI's own answer repeats the whole input."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "value_error":
        return _detail(422, str(first["ctx"]["error"]))
    where = ".".join(str(part) for part in first["loc"])
    return _detail(422, f"{where}: {first['msg']}")


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return _detail(422, str(error))


async def _busy(_: Request, error: Exception) -> JSONResponse:
    return _detail(503, str(error), **{"Retry-After": "1"})
