"""A web API that knows nothing of MCP: FastAPI makes its OpenAPI document of what is below.

    shop.py PORT

prints `ready` once it listens.
"""

import sys
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, File, Form, Header, HTTPException, Query, Response, UploadFile
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, Field

KEY = "sesame"


class NewOrder(BaseModel):
    sku: str = Field(description="What is ordered.")
    count: int = Field(1, ge=1, le=100)
    tags: list[str] = []


class Order(NewOrder):
    id: int
    status: str = "open"


class Page(BaseModel):
    items: list[Order]
    next_cursor: int | None = None


app = FastAPI(title="Shop", version="1.4.0")
orders: dict[int, Order] = {}
seen: dict[str, int] = {}


def key(given: Annotated[str | None, Depends(APIKeyHeader(name="X-Shop-Key", auto_error=False))]) -> None:
    if given != KEY:
        raise HTTPException(401, "the key is wrong")


def ticket(given: Annotated[str | None, Depends(APIKeyQuery(name="ticket", auto_error=False))]) -> None:
    if given != "a&b=c":
        raise HTTPException(401, "the ticket is wrong")


Keyed = Depends(key)


def found(number: int) -> Order:
    if number not in orders:
        raise HTTPException(404, f"no order {number}")
    return orders[number]


@app.get("/orders", dependencies=[Keyed])
def list_orders(
    status: Annotated[list[str] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    cursor: int = 0,
) -> Page:
    """Lists orders, the oldest first."""
    fitting = [o for o in orders.values() if o.id > cursor and (not status or o.status in status)]
    page = fitting[:limit]
    return Page(items=page, next_cursor=page[-1].id if len(fitting) > limit else None)


@app.post("/orders", status_code=201, dependencies=[Keyed])
def create_order(new: NewOrder, idempotency_key: Annotated[str, Header()]) -> Order:
    """Orders something."""
    if idempotency_key not in seen:
        number = len(orders) + 1
        seen[idempotency_key] = number
        orders[number] = Order(id=number, **new.model_dump())
    return orders[seen[idempotency_key]]


@app.get("/orders/{number}", dependencies=[Keyed])
def get_order(number: int) -> Order:
    return found(number)


@app.put("/orders/{number}", dependencies=[Keyed])
def replace_order(number: int, new: NewOrder) -> Order:
    orders[number] = Order(id=found(number).id, **new.model_dump())
    return orders[number]


@app.delete("/orders/{number}", status_code=204, dependencies=[Keyed])
def cancel_order(number: int) -> None:
    del orders[found(number).id]


@app.post("/orders/{number}/note", dependencies=[Keyed])
def add_note(number: int, text: Annotated[str, Form()], mood: Annotated[str, Form()] = "calm") -> dict[str, str]:
    return {"order": str(number), "text": text, "mood": mood}


@app.post("/orders/{number}/receipt", dependencies=[Keyed])
async def upload_receipt(number: int, receipt: UploadFile = File(), title: str = Form("receipt")) -> dict[str, str]:
    return {"title": title, "bytes": (await receipt.read()).hex()}


@app.get("/products/{path:path}/label", dependencies=[Depends(ticket)])
def label(path: str, x_language: Annotated[str, Header()] = "en") -> dict[str, str]:
    return {"path": path, "language": x_language}


@app.get("/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def picture() -> Response:
    return Response(b"\x89PNG\r\n", media_type="image/png")


@app.get("/who")
def who(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> dict[str, str]:
    return {"name": given.username, "password_length": str(len(given.password))}


@app.get("/busy")
def busy() -> None:
    raise HTTPException(429, "too many of you", headers={"Retry-After": "30"})


class Ready(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    Ready(uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")).run()
