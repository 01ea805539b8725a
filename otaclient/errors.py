"""Every error that leaves the library, classified by what the caller can do about it.

::

    OtaError
    ├── ConfigurationError            unknown backend, missing or malformed setting
    ├── UnsupportedOperationError     the vendor has no such operation; nothing was sent
    ├── TransportError                the network failed
    │   ├── RequestNotSentError       nothing reached the vendor: safe to repeat
    │   └── ResponseLostError         sent, but no whole answer: repeat only what is idempotent
    ├── DeadlineExceededError         ``timeout_seconds`` ran out
    ├── OutcomeUnknownError           a write may or may not have taken effect
    ├── ApiError                      the vendor, or a check of ours in its stead, refused
    │   ├── AuthenticationError       wrong or expired credentials
    │   ├── PermissionDeniedError     credentials fine, right missing
    │   ├── NotFoundError             no such firmware, job or device
    │   ├── InvalidQueryError         a filter, identifier, page size or cursor that cannot work
    │   ├── ConflictError             the state of the thing forbids it
    │   ├── RateLimitedError          throttled before execution
    │   └── ServerError               the vendor failed
    ├── PayloadError                  the answer is not what the vendor documents
    ├── IntegrityError                bytes that do not have the announced size or digest
    └── ResultFileError               a file of scanned devices that cannot be read as one

No exception of aiohttp, cattrs or msgspec leaves the library: the original is the ``__cause__``. Messages name the
operation and the identifiers, never a secret. All errors can be pickled and copied.
"""

from typing import Any, Self

__all__ = [
    "ApiError",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "IntegrityError",
    "InvalidQueryError",
    "NotFoundError",
    "OtaError",
    "OutcomeUnknownError",
    "PayloadError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RequestNotSentError",
    "ResponseLostError",
    "ResultFileError",
    "ServerError",
    "TransportError",
    "UnsupportedOperationError",
]


class OtaError(Exception):
    """The root of all errors of this library.

    Attributes:
        message: What happened, in one sentence, with the remedy where there is one.
        operation: The operation that failed, such as ``firmware.get``; ``None`` where no operation was under way.
        backend: The label of the backend, or ``None``.
        attempts: How many requests of this call were sent; 0 when it failed before any.
        other_requests: How many more were sent for the same page before, as in ``RawPage.other_requests``.
        status: The HTTP status, or ``None`` where there was no answer.
        vendor_code: The vendor's own error code as text, or ``None``.
        vendor_message: The vendor's own words, or ``None``.
        request_id: The vendor's identifier of the request, or ``None``: quote it to the vendor's support.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        backend: str | None = None,
        attempts: int = 0,
        status: int | None = None,
        vendor_code: str | None = None,
        vendor_message: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.backend = backend
        self.attempts = attempts
        self.other_requests = 0
        self.status = status
        self.vendor_code = vendor_code
        self.vendor_message = vendor_message
        self.request_id = request_id

    def __str__(self) -> str:
        where = " ".join(part for part in (self.backend, self.operation) if part)
        facts = (
            ("HTTP", self.status),
            ("code", self.vendor_code),
            ("request", self.request_id),
            ("attempts", self.attempts if self.attempts > 1 else None),
        )
        tail = ", ".join(f"{name} {value}" for name, value in facts if value is not None)
        head = f"{where}: {self.message}" if where else self.message
        return f"{head} ({tail})" if tail else head

    # The default pickling of exceptions calls the class with ``args`` alone and so loses every keyword.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))

    def facts(self) -> dict[str, Any]:
        """Return what every error knows but its message, as keywords for another error in its place."""
        names = ("operation", "backend", "attempts", "status", "vendor_code", "vendor_message", "request_id")
        return {name: getattr(self, name) for name in names}

    def during(self, *, operation: str, backend: str, attempts: int) -> Self:
        """Return this same error with what only the session knows filled in where it is still missing."""
        self.operation = self.operation or operation
        self.backend = self.backend or backend
        self.attempts = self.attempts or attempts
        return self


def _rebuild(cls: type[OtaError], message: str, state: dict[str, Any]) -> OtaError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigurationError(OtaError):
    """A setting, a credential or a backend name is missing or cannot be right. Nothing was sent."""


class UnsupportedOperationError(OtaError):
    """The backend has no such operation (see ``Backend.capabilities``). Nothing was sent."""


class TransportError(OtaError):
    """The network failed below HTTP."""


class RequestNotSentError(TransportError):
    """The request provably did not reach the vendor: connection refused, unknown host, failed TLS handshake."""


class ResponseLostError(TransportError):
    """The request went out, but no whole answer came back: whether it took effect is not known from this alone."""


class DeadlineExceededError(OtaError):
    """``timeout_seconds`` ran out, or would run out during a wait that the vendor advised.

    Attributes:
        retry_after_seconds: The wait that the vendor advised, when that was too long; else ``None``.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknownError(OtaError):
    """A write was sent and its answer lost: it may or may not have taken effect. The message says how to check.

    Attributes:
        fingerprint: Of a job that may have been created, what ends its name at the vendor: ``jobs.search`` finds it by
            that, and ``jobs.create`` with it as the ``idempotency_key`` looks for it first. ``None`` for all else.
    """

    def __init__(self, message: str, *, fingerprint: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.fingerprint = fingerprint


class ApiError(OtaError):
    """The vendor refused, or a check of ours did so in its stead (then ``status`` is ``None`` and nothing was sent)."""


class AuthenticationError(ApiError):
    """The credentials are wrong or expired."""


class PermissionDeniedError(ApiError):
    """The credentials are right, but do not allow this operation."""


class NotFoundError(ApiError):
    """There is no such firmware, job or device in this organisation or project."""


class InvalidQueryError(ApiError):
    """A filter, identifier, page size or cursor that cannot work; the message names it, the rule and the remedy.

    Attributes:
        names: Names of this library that the message uses, such as ``products``, for whoever calls them otherwise.
    """

    def __init__(self, message: str, *, names: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.names = names


class ConflictError(ApiError):
    """The thing exists already, or its state forbids the operation."""


class RateLimitedError(ApiError):
    """Throttled: the vendor rejected the request before executing it.

    Attributes:
        retry_after_seconds: The wait that the vendor advised, or ``None``.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after_seconds = retry_after_seconds


class ServerError(ApiError):
    """The vendor's service or gateway failed.

    Attributes:
        retry_after_seconds: The wait that the vendor advised, or ``None``.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after_seconds = retry_after_seconds


class PayloadError(OtaError):
    """The answer is not what the vendor documents.

    Attributes:
        problems: One line for each fault, such as ``$.data[3].firmware_version: expected str, got int``.
        excerpt: The beginning of the body, for people, empty as the body is; ``None`` where that may hold secrets.
    """

    def __init__(
        self, message: str, *, problems: tuple[str, ...] = (), excerpt: str | None = None, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.problems = problems
        self.excerpt = excerpt

    def __str__(self) -> str:
        listed = f": {'; '.join(self.problems[:3])}" if self.problems else ""
        more = f" (and {len(self.problems) - 3} more)" if len(self.problems) > 3 else ""
        body = "" if self.excerpt is None else f"; the body begins {self.excerpt!r}"
        if self.excerpt == "":
            body = "; the body is empty"
        return f"{super().__str__()}{listed}{more}{body}"


class IntegrityError(OtaError):
    """Bytes that do not have the announced size or digest."""


class ResultFileError(OtaError):
    """A file of scanned devices that cannot be read: of another kind, of a newer version, cut off, or damaged."""
