"""The dashboards as pages, and the records behind each of their marks.

    GET /dashboards                                  the first board
    GET /dashboards/executive, /on-call, /debug      ?hours=24, &every=30 looks again by itself
    GET /dashboards/predictions?since=…&until=…      the logged predictions behind a mark

Pages are made here, load one style sheet and no script, and show what is logged: hashes of records,
never the records.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from leaven.core.wording import decimal, percent
from leaven.evaluate.report.clean import clean
from leaven.operate.costs.prices import Prices
from leaven.operate.metrics.looking import Asked, Period, Prediction, listed
from leaven.serve.boards import BOARDS, Now, board
from leaven.serve.cards import page
from leaven.serve.spent import spent_chart
from leaven.store.store import Store

__all__ = ["routes"]

_STYLES = (("leaven.evaluate.report", "style.css"), ("leaven.serve", "static/dashboards.css"))
_HOURS = ((1, "1 hour"), (24, "1 day"), (168, "7 days"), (720, "30 days"))
_ROWS = 50
_FRESH, _KEPT = 5.0, 16  # seconds for which a board is shown again; boards
_ROUTES = {"review": "passed on to people", "answer": "answered without a person"}
_TRUTHS = {"known": "of which truth came", "right": "that were right", "wrong": "that were wrong"}
_LATEST = 253_402_300_000.0  # seconds since 1970: the year 9999, beyond which no date goes
_Time = Annotated[float, Field(ge=0, le=_LATEST, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=1000)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Board(BaseModel):
    model_config = ConfigDict(extra="ignore")
    hours: Annotated[int, Field(ge=1, le=2160)] = 24
    every: Annotated[int, Field(ge=0, le=3600)] = 0


class _Records(BaseModel):
    model_config = ConfigDict(extra="ignore")
    since: _Time = 0.0
    until: _Time = _LATEST
    label: _Text = ""
    route: Literal["", "answer", "review"] = ""
    place: Literal["", "live", "canary", "shadow", "mirror"] = ""
    run: _Text = ""
    low: _Share = 0.0
    high: _Share = 1.0
    slow: Annotated[float, Field(ge=0, le=3600)] = 0.0
    truth: Literal["", "known", "right", "wrong"] = ""
    explored: bool = False
    before: Annotated[int, Field(ge=0, lt=2**63)] = 0


def routes(
    store: Store,
    service: str,
    now: Callable[[], Now],
    *,
    prices: Prices | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """The pages of one service; `now` is what its server knows itself, `prices` tell its money."""
    kept = _Kept(clock)
    style = "\n".join((files(package) / name).read_text("utf-8") for package, name in _STYLES)

    async def css(_: Request) -> Response:
        return Response(style, media_type="text/css")

    def of(name: str, title: str) -> Callable[[Request], Any]:
        async def show(request: Request) -> Response:
            told = _read(_Board, request)
            if told is None:
                return _wrong(service)
            made = partial(render, name, title, told)
            response = HTMLResponse(await kept.page((name, told.hours), made))
            if told.every:
                response.headers["refresh"] = str(max(told.every, 5))
            return response

        return show

    def render(name: str, title: str, told: _Board) -> str:
        until = clock()
        period = Period(until - told.hours * 3600, until)
        shown = board(name, store, service, period, now())
        if name == "executive":
            cost = spent_chart(store, service, period, prices or Prices())
            shown = replace(shown, charts=[*shown.charts, cost])
        return page(
            "dashboard.html.j2", **_head(service, f"/dashboards/{name}", told.hours),
            title=title, hours=told.hours, spans=_HOURS, board=shown,
        )  # fmt: skip

    async def records(request: Request) -> Response:
        told = _read(_Records, request)
        if told is None:
            return _wrong(service)
        return HTMLResponse(await kept.made(partial(list_, told)))

    def list_(told: _Records) -> str:
        found = listed(store, service, Asked(**told.model_dump()), _ROWS + 1)
        more = ""
        if len(found) > _ROWS:
            kept = told.model_dump(exclude_defaults=True) | {"before": found[_ROWS - 1].number}
            more = f"/dashboards/predictions?{urlencode(kept)}"
        return page(
            "predictions.html.j2", **_head(service, "", 24), rows=[_row(one) for one in
            found[:_ROWS]], more=more, which=_which(told), since=_told_time(told.since),
            until=_told_time(told.until),
        )  # fmt: skip

    return [
        Route("/dashboards", of(*BOARDS[0])),
        Route("/dashboards/style.css", css),
        *(Route(f"/dashboards/{name}", of(name, title)) for name, title in BOARDS),
        Route("/dashboards/predictions", records),
    ]


class _Kept:
    """Pages that are shown again for some seconds: one is made at a time, for whoever asks.

    So a wall of screens, or somebody who asks again and again, keeps neither the store busy nor
    the threads that requests need.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._turn = clock, asyncio.Lock()
        self._pages: dict[tuple[str, int], tuple[float, str]] = {}

    async def made(self, make: Callable[[], str]) -> str:
        """A page that is not kept."""
        async with self._turn:
            return await asyncio.to_thread(make)

    async def page(self, key: tuple[str, int], make: Callable[[], str]) -> str:
        """The page of that name, made anew where it is too old."""
        async with self._turn:
            until, found = self._pages.pop(key, (0.0, ""))
            if self._clock() >= until:
                found = await asyncio.to_thread(make)
                until = self._clock() + _FRESH
            while len(self._pages) >= _KEPT:
                self._pages.pop(next(iter(self._pages)))
            self._pages[key] = (until, found)
            return found


def _read(kind: Any, request: Request) -> Any:
    """The query as what it says, None where it cannot be that."""
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError:
        return None


def _wrong(service: str) -> Response:
    sentence = "This address asks for something that there is not. Begin again at a dashboard."
    told = page("refused_board.html.j2", **_head(service, "", 24), sentence=sentence)
    return HTMLResponse(told, status_code=422)


def _head(service: str, here: str, hours: int) -> dict[str, Any]:
    ways = [(f"/dashboards/{name}", title) for name, title in BOARDS]
    return {"service": clean(service, 200), "here": here, "ways": ways, "asked": hours}


def _row(one: Prediction) -> dict[str, Any]:
    right, word = "", "–"
    if one.truth is not None:
        right = "" if one.caused else "right" if one.truth == one.label else "wrong"
        word = clean(one.truth, 200)
    return {
        "at": f"{datetime.fromtimestamp(one.at, UTC):%Y-%m-%d %H:%M:%S}",
        "content": one.content, "name": one.name, "label": clean(one.label, 200),
        "probability": percent(one.probability), "route": one.route, "place": one.place,
        "run": clean(one.run, 80), "version": one.digest[:12],
        "seconds": "–" if one.seconds is None else f"{decimal(1000 * one.seconds)} ms",
        "truth": word, "right": right, "caused": bool(one.caused),
    }  # fmt: skip


def _which(told: _Records) -> list[str]:
    """What is asked for, in words."""
    words = [
        f"answered “{clean(told.label, 80)}”" if told.label else "",
        {"review": "passed on to people", "answer": "answered without a person"}.get(
            told.route, ""
        ),
        f"by {told.place}" if told.place else "",
        f"of run {clean(told.run, 80)}" if told.run else "",
        f"{percent(told.low, 0)} to {percent(told.high, 0)} sure"
        if told.low > 0 or told.high < 1
        else "",
        f"over {told.slow:g} s" if told.slow else "",
        {
            "known": "of which truth came",
            "right": "that were right",
            "wrong": "that were wrong",
        }.get(told.truth, ""),
        "drawn at random" if told.explored else "",
    ]
    return [one for one in words if one]


def _told_time(at: float) -> str:
    """A time in words, "" for one that bounds nothing."""
    if not math.isfinite(at) or at <= 0 or at >= _LATEST:
        return ""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
