"""How the service, or the gateway before it, turns a request down.

Source: Huawei Cloud IoTDA, API reference v5, "Error Codes"; API Gateway, "Error Codes".
"""

from http import HTTPStatus
from typing import Final

import attrs

__all__ = [
    "BODY_TOO_LARGE",
    "FOREIGN_PROJECT",
    "GATEWAY_UNAUTHORIZED",
    "INTERNAL_ERROR",
    "NO_SUCH_API",
    "UNAUTHORIZED",
    "Refusal",
    "unauthorized",
]

GATEWAY_UNAUTHORIZED: Final = "APIGW.0301"


@attrs.frozen(kw_only=True)
class Refusal:
    """An answer that ends the request: HTTP status, the service's or the gateway's code, and the message."""

    status: int
    code: str
    message: str

    @property
    def from_gateway(self) -> bool:
        """Whether the API gateway answered, before the service saw the request."""
        return self.code.startswith("APIGW.")


def unauthorized(tail: str) -> Refusal:
    """Return what the gateway answers to whoever has not shown who they are; the tail of its message says why."""
    message = f"Incorrect IAM authentication information: {tail}"
    return Refusal(status=401, code=GATEWAY_UNAUTHORIZED, message=message)


FOREIGN_PROJECT: Final = Refusal(
    status=HTTPStatus.FORBIDDEN,
    code="IOTDA.000021",
    message="Operation not allowed. User not found by IAM token or the user has not subscribed to the service.",
)
UNAUTHORIZED: Final = unauthorized("Unauthorized")
NO_SUCH_API: Final = Refusal(
    status=HTTPStatus.NOT_FOUND,
    code="APIGW.0101",
    message="The API does not exist or has not been published in the environment.",
)
BODY_TOO_LARGE: Final = Refusal(
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="APIGW.0201", message="Bad request: the body is too large."
)
INTERNAL_ERROR: Final = Refusal(
    status=HTTPStatus.INTERNAL_SERVER_ERROR, code="IOTDA.000001", message="Internal server error."
)
