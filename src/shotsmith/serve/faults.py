"""What is answered where a request cannot be: one JSON shape for every route, that of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from shotsmith.errors import InputError, ShotsmithError


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, param: str | None = None, headers: Mapping[str, str] | None = None):
        """`param` names the field at fault."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.headers = headers


def refusal(
    status: int, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response that tells an error."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    readable = message.encode("utf-8", "replace").decode()
    told = {"error": {"message": readable, "type": kind, "param": param, "code": status}}
    return JSONResponse(told, status, headers=None if headers is None else dict(headers))


def as_refused(error: ShotsmithError, rows: str) -> Refused:
    """What a request is told that the selector cannot do; `rows` is what its list of rows is called.

    Paths on the server's disk are left out.
    """
    if not isinstance(error, InputError):
        return Refused(422, str(error))
    place = None if error.row is None else f"{rows}[{error.row}]"
    parts = [part for part in (place, error.field) if part]
    return Refused(422, error.problem, ".".join(parts) or None)
