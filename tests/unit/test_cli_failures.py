"""How the command says what is wrong: exit codes, one line for every failure, and extras that are missing."""

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otaclient.cli
from otaclient.cli.failures import DeclinedError, ExitCode, UsageError, exit_code, leaf, one_line, whole_lines
from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    ResponseLostError,
    UnsupportedOperationError,
)
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_enos.failures import classify as enos
from otaclient_iotda.failures import classify as iotda

# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), ExitCode.USAGE),
        (ConfigurationError("x"), ExitCode.USAGE),
        (UnsupportedOperationError("x"), ExitCode.USAGE),
        (InvalidQueryError("x"), ExitCode.USAGE),
        (InvalidQueryError("the vendor says so", status=400), ExitCode.FAILED),
        (NotFoundError("x", status=404), ExitCode.FAILED),
        (OSError(28, "No space left on device"), ExitCode.FAILED),
        (KeyError("x"), ExitCode.FAILED),
        (DeclinedError(), ExitCode.FAILED),
    ],
)
def test_exit_codes_tell_usage_from_failure(error: Exception, code: ExitCode) -> None:
    """What was wrong before anything was sent exits 2, everything else 1."""
    assert exit_code(error) is code


def test_first_error_of_nested_groups_is_the_one_to_tell() -> None:
    """Errors of task groups are told as the error inside."""
    inner = NotFoundError("x")
    assert leaf(ExceptionGroup("a", [ExceptionGroup("b", [inner]), ValueError()])) is inner
    assert leaf(inner) is inner


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            NotFoundError("no such job", backend="enos", operation="jobs.get", status=404),
            "enos jobs.get: no such job (HTTP 404)",
        ),
        (FileNotFoundError(2, "No such file or directory", "/a/b"), "/a/b: No such file or directory"),
        (OSError("cannot"), "cannot"),
        (OSError(), "OSError"),
        (KeyError("x"), "unexpected KeyError: 'x'; this is a fault of otaclient, please report it"),
        (PayloadError("no page", excerpt="<html>\n<body>"), "no page; the body begins '<html>\\n<body>'"),
        (PayloadError("no page", excerpt=""), "no page; the body is empty"),
        (
            InvalidQueryError("name is None: give LocalizedText(default=...)", names=("name",)),
            "name is None: give LocalizedText(default=...); at a terminal, name is --name",
        ),
        (NotFoundError("two\nlines \x1b[2J"), "two lines \\x1b[2J"),
        (DeclinedError(), "not confirmed: nothing was done"),
    ],
)
def test_every_failure_is_one_line(error: Exception, line: str) -> None:
    """Failures are one printable line."""
    assert one_line(error) == line


CANONICAL = "verify aksk signature fail, canonicalRequest:GET|/v5/iot/" + "0a1b|" * 120
REFUSED = AuthenticationError(
    f"the vendor does not accept the credentials: {CANONICAL}; check access_key and this machine's clock",
    operation="jobs.search",
    backend="iotda",
    status=401,
    vendor_code="APIGW.0301",
    vendor_message=CANONICAL,
    request_id="r1",
)


def whole_line(error: Exception) -> str:
    """Return all of it."""
    with whole_lines(wanted=True):
        return one_line(error)


def test_long_words_of_a_vendor_are_cut_and_the_remedy_stays() -> None:
    """A vendor's page-long answer does not hide what to do; all of it can be had."""
    line = one_line(REFUSED)
    assert line.startswith("iotda jobs.search: the vendor does not accept the credentials: verify aksk signature fail")
    assert line.endswith(
        "…; check access_key and this machine's clock (HTTP 401, code APIGW.0301, request r1); --verbose shows all"
    )
    assert len(line) <= 300 + len("; --verbose shows all")
    assert CANONICAL in whole_line(REFUSED)


def test_a_long_remedy_behind_the_words_of_a_vendor_stays_whole() -> None:
    """Where even the shortened words leave the line too long, the cut is before the remedy, not within it."""
    remedy = "; check the user's permission, and that the endpoint is this instance's own: " + "why " * 35
    error = PermissionDeniedError(
        f"the vendor does not allow it: {'Operation not allowed. ' * 9}{remedy}",
        operation="firmware.search",
        backend="iotda",
        status=403,
        vendor_message="Operation not allowed. " * 9,
    )
    line = one_line(error)
    assert line.startswith("iotda firmware.search: the vendor does not allow it: Operation not allowed. ")
    assert line.endswith(f"{remedy}(HTTP 403); --verbose shows all")
    assert len(line) < 400 < len(whole_line(error))


@pytest.mark.parametrize(
    "error",
    [
        PayloadError("no page", excerpt="x" * 500),
        ResponseLostError("x" * 500),
        NotFoundError("x" * 500, status=404),
        NotFoundError("x" * 400 + "y" * 70, status=404, vendor_message="y" * 70),
        KeyError("x" * 500),
        OSError("x" * 500),
    ],
)
def test_long_words_of_others_are_cut_in_the_middle(error: Exception) -> None:
    """Where it is not known which words matter, the beginning and the end stay."""
    line, whole = one_line(error), whole_line(error)
    assert len(line) < 330 < len(whole)
    head, _, tail = line.removesuffix("; --verbose shows all").partition(" … ")
    assert whole.startswith(head)
    assert whole.endswith(tail[-20:])


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x" * 500),
        ConfigurationError("x" * 500),
        InvalidQueryError("x" * 500),
        IntegrityError(f"has {'a' * 64}, not {'b' * 64}{' ' * 300}"),
        NotFoundError("x" * 250 + "too short to be cut", status=404, vendor_message="too short to be cut"),
    ],
)
def test_our_own_words_are_never_cut(error: Exception) -> None:
    """Our messages hold the rule and the remedy, and digests that one compares."""
    assert one_line(error) == whole_line(error)


@given(text=st.text(), said=st.text(), whole=st.booleans())
def test_failures_are_one_line_of_bounded_length(text: str, said: str, whole: bool) -> None:
    """Whatever a vendor says, one printable line comes of it."""
    error = OtaError(f"{text}{said}", status=400, vendor_message=said)
    line = whole_line(error) if whole else one_line(error)
    assert line.isprintable()
    assert whole or len(line) <= 330


# --- the extra -------------------------------------------------------------------------------------------------------


class _Missing(MetaPathFinder):
    """Lets the import of the command's tree fail as if one package were not installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname == "otaclient.cli.app":
            raise ModuleNotFoundError(f"No module named {self._package!r}", name=self._package)
        return None


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Take a package away from the command."""
    monkeypatch.delitem(sys.modules, "otaclient.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Missing(package), *sys.meta_path])


def test_without_the_extra_the_command_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library is installed without the command's libraries: one line says how to add them."""
    without(monkeypatch, "cyclopts")
    assert otaclient.cli.main(["demo"]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: the command needs cyclopts, which is not installed: pip install 'otaclient[cli]'\n"


def test_another_missing_module_is_not_mistaken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is missing for another reason is told as what it is."""
    without(monkeypatch, "anyio")
    with pytest.raises(ModuleNotFoundError, match="anyio"):
        otaclient.cli.main(["demo"])


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
def test_a_vendors_long_sentence_is_cut_and_the_advice_behind_it_is_not(vendor: str) -> None:
    """Both where its full stop is left out before the advice, and it is so short that it can all be shown."""
    request = HttpRequest(operation="jobs.get", method="GET", path="/j", subject="job 'j'")

    def told(words: str) -> str:
        if vendor == "enos":
            body = json.dumps({"code": 24404, "msg": words})
            failure = enos(request, HttpResponse(status=200, body=body.encode()))
        else:
            body = json.dumps({"error_code": "IOTDA.001000", "error_msg": words})
            failure = iotda(request, HttpResponse(status=403, body=body.encode()))
        assert failure is not None
        assert failure.error.vendor_message == words
        return one_line(failure.error)

    long, short = told("Wrong space, " * 60 + "really."), told("Wrong space.")
    assert "; check the " in long
    assert "…" in long
    assert "really" not in long
    assert "Wrong space" in short
    assert "." not in short.partition("; check the ")[0].removeprefix(f"{vendor} jobs.get: ")
