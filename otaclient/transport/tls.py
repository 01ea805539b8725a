"""TLS: how certificates are verified, and what it means when that fails."""

import logging
import ssl
from collections.abc import Mapping
from typing import Final

from otaclient.endpoint import warn_of_insecurity
from otaclient.errors import ConfigurationError
from otaclient.transport.options import TransportOptions

__all__ = ["explained", "is_refused_handshake", "tls_context", "warn_of_unverified"]

_log = logging.getLogger(__name__)

# OpenSSL's numbers of verification failures (X509_V_ERR_...), and what helps.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNTRUSTED: Final = frozenset({18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})

_TRUST_REMEDY: Final = (
    "if it comes from an authority of your own, name its PEM file in TransportOptions(ca_file=...), or in the variable "
    "SSL_CERT_FILE"
)
_NAME_REMEDY: Final = "set endpoint to a name that the certificate is for"
_EXPIRED_REMEDY: Final = "the server's operator has to renew it, unless this machine's clock is wrong"
_EARLY_REMEDY: Final = "check this machine's clock"
_CLIENT_REMEDY: Final = (
    "the server wants a client certificate that it trusts: TransportOptions(client_certificate=..., client_key=...)"
)
_PLAIN_REMEDY: Final = "it does not speak TLS there: check scheme and port of endpoint"
_VERSION_REMEDY: Final = "it speaks no version of TLS that this machine accepts: the server's operator has to update it"

_REASONS: Final[Mapping[str, str]] = {
    "HTTP_REQUEST": _PLAIN_REMEDY,
    "WRONG_VERSION_NUMBER": _PLAIN_REMEDY,
    "RECORD_LAYER_FAILURE": _PLAIN_REMEDY,
    # Before TLS 1.3, a server has no other word for a certificate that is missing.
    "SSLV3_ALERT_HANDSHAKE_FAILURE": f"perhaps {_CLIENT_REMEDY}",
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION_REMEDY,
    "UNSUPPORTED_PROTOCOL": _VERSION_REMEDY,
}
# With TLS 1.3 the server judges the client's certificate when the client believes that the connection stands.
_CLIENT_REFUSED: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


def tls_context(options: TransportOptions) -> ssl.SSLContext | None:
    """Return how to verify servers and to show who asks; ``None``: verify with the machine's authorities.

    Warns, each time, where the options switch verification off.

    Raises:
        ConfigurationError: A file cannot be used.
    """
    skips = options.dangerously_skip_tls_verification
    if skips:
        warn_of_unverified("TransportOptions(dangerously_skip_tls_verification=True)")
    elif options.ca_file is None and options.client_certificate is None:
        return None
    try:
        context = _unverifying() if skips else ssl.create_default_context(cafile=options.ca_file)
        if options.client_certificate is not None:
            context.load_cert_chain(options.client_certificate, options.client_key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(
            str(file) for file in (options.ca_file, options.client_certificate, options.client_key) if file
        )
        raise ConfigurationError(
            f"the certificates in {files} cannot be used: {str(error) or 'no reason given'}"
        ) from error
    return context


def _unverifying() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    # Without this, OpenSSL would ask for it on the terminal and wait.
    raise ConfigurationError(
        "TransportOptions client_key is encrypted with a password: give a key without one, readable by its owner only"
    )


def warn_of_unverified(cause: str) -> None:
    """Say, each time, that servers are not verified.

    Args:
        cause: What switched it off.
    """
    text = (
        f"TLS certificates are not verified ({cause}): anybody on the way can take the server's place, read the "
        "credentials and change the firmware; never do this outside a closed test network"
    )
    # Python shows a warning once for each place in the source; a log has it each time.
    _log.warning(text)
    warn_of_insecurity(text)


def is_refused_handshake(error: BaseException | None) -> bool:
    """Tell whether a broken connection means that the server did not accept this client's certificate.

    It has then read nothing of the request: what is sent before the handshake has ended on both sides is never used.
    """
    return isinstance(error, ssl.SSLError) and error.reason in _CLIENT_REFUSED


def explained(error: BaseException | None, endpoint: str) -> str:
    """Return which host, for which reason, could not be reached over TLS, and what helps."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return f"the certificate of {endpoint} is refused: {why}; {_remedy(error.verify_code)}"
    reason = getattr(error, "reason", None) or ""
    why = reason.replace("_", " ").lower() or "no reason given"
    remedy = _CLIENT_REMEDY if reason in _CLIENT_REFUSED else _REASONS.get(reason, "check endpoint")
    return f"no TLS connection to {endpoint}: {why}; {remedy}"


def _remedy(code: int) -> str:
    if code in _OTHER_NAME:
        return _NAME_REMEDY
    if code == _EXPIRED:
        return _EXPIRED_REMEDY
    if code == _NOT_YET_VALID:
        return _EARLY_REMEDY
    return _TRUST_REMEDY if code in _UNTRUSTED else "the server's operator has to mend it"
