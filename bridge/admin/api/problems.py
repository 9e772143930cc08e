"""What the API answers when it cannot do what was asked: problem details (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
from pydantic import Field, ValidationError
from starlette.responses import Response

from bridge.admin.api.operation import Model
from hub.errors import CapacityError, HubError, InvalidRequestError, NotFoundError, PayloadTooLargeError

MEDIA_TYPE = "application/problem+json"

_STORE_RETRY_AFTER = 5


class Mistake(Model):
    """One mistake in what was sent."""

    where: str = Field(description="The parameter, or the place in the body with dots.")
    detail: str


class Problem(Model):
    """Problem details of RFC 9457. `type` is about:blank: the status says the kind, `detail` what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[Mistake, ...] = ()


class ProblemError(Exception):
    """An answer that is a problem; the message is its detail."""

    def __init__(self, status: int, detail: str, *, errors: Sequence[Mistake] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = tuple(errors)


def problem_response(
    status: int, detail: str, *, errors: Sequence[Mistake] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as an answer."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=tuple(errors))
    content = problem.model_dump(exclude_defaults=True) | {"type": problem.type}
    return Response(
        orjson.dumps(content), status, headers={"cache-control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE
    )


def response_for(error: HubError) -> Response:
    """What the hub could not do."""
    match error:
        case NotFoundError():
            return problem_response(404, str(error))
        case PayloadTooLargeError():
            return problem_response(413, str(error))
        case InvalidRequestError():
            return problem_response(400, str(error))
        case CapacityError():
            return problem_response(429, str(error), headers={"retry-after": f"{max(1, round(error.retry_after))}"})
        case _:  # the store
            return problem_response(
                503, f"the store cannot do it now: {error}", headers={"retry-after": str(_STORE_RETRY_AFTER)}
            )


def invalid(error: ValidationError, *, what: str, known: Sequence[str]) -> ProblemError:
    """What is wrong with a query or a body, each mistake with its place."""
    mistakes = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            text = f"unknown; there are {', '.join(known) or 'none'}" if len(detail["loc"]) == 1 else "unknown"
        elif detail["type"] == "missing":
            text = "is missing"
        else:
            text = detail["msg"].removeprefix("Value error, ")
            text = text[:1].lower() + text[1:]
        mistakes.append(Mistake(where=where, detail=text))
    first = mistakes[0]
    return ProblemError(
        400, f"{what}: {first.where}: {first.detail}" if first.where else f"{what}: {first.detail}", errors=mistakes
    )
