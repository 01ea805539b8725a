"""The operations on devices: list, show, and the flexible search.

Source: Huawei Cloud IoTDA, "Query the Device List", "Query a Device", "Query Device List Flexibly".
"""

import itertools
from http import HTTPStatus
from typing import Final

import msgspec

from otaclient.emulator import Fleet
from otaclient_iotda.emulator import render, selection
from otaclient_iotda.emulator.auth import Edition
from otaclient_iotda.emulator.bodies import search_statement
from otaclient_iotda.emulator.calls import DEVICE_ID, UNKNOWN_RESOURCE, Answer, Call, Paging, Refused
from otaclient_iotda.emulator.filters import device_filter
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.refusals import Refusal
from otaclient_iotda.emulator.search import DeviceSearch
from otaclient_iotda.emulator.sql import parse

__all__ = ["TOO_MANY_REQUESTS", "DeviceOperations"]

TOO_MANY_REQUESTS: Final = Refusal(
    status=HTTPStatus.TOO_MANY_REQUESTS, code="APIGW.0308", message="The throttling threshold has been reached."
)
# What the basic edition says to a search, which it does not have, is not known: our choice.
NOT_IN_THIS_EDITION: Final = Refusal(
    status=HTTPStatus.FORBIDDEN, code="IOTDA.000021", message="Operation not allowed. The basic edition has no search."
)


class DeviceOperations:
    """What the service says about the devices of one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        rows: render.DeviceRows,
        groups: DeviceGroups,
        paging: Paging,
        edition: Edition | None,
        search_pause_seconds: float,
        time_bounds_inclusive: bool,
    ) -> None:
        self._fleet = fleet
        self._rows = rows
        self._paging = paging
        self._edition = edition
        self._pause_ms = round(search_pause_seconds * 1000)
        self._inclusive = time_bounds_inclusive
        self._next_search_ms = 0
        self._turns = itertools.count(1)
        self._selection = selection.DeviceSelection(fleet, rows)
        self._ids = render.device_record_ids(fleet)
        self._search = DeviceSearch(fleet, rows, self._ids, groups)

    def list_devices(self, call: Call) -> Answer:
        """Answer ``GET devices``."""
        wanted = device_filter(call.parameters)
        self._fleet.pass_search()
        first, stop = selection.ids_registered(wanted, inclusive=self._inclusive)
        page = self._paging.cut(self._selection.rows(wanted), wanted.window, self._ids, first=first, stop=stop)
        rows = ",".join(map(self._rows.json, page.numbers))
        info = msgspec.json.encode(self._paging.info(page, self._ids)).decode()
        return Answer(f'{{"devices":[{rows}],"page":{info}}}'.encode())

    def show_device(self, call: Call) -> Answer:
        """Answer ``GET devices/{device_id}``."""
        row = self._rows.row_of_device(call.identifier("device_id", DEVICE_ID))
        if row is None:
            raise Refused(UNKNOWN_RESOURCE)
        return Answer.of(self._rows.detail(row))

    def search_devices(self, call: Call) -> Answer:
        """Answer ``POST search/query-devices``."""
        if self._edition == "basic":
            raise Refused(NOT_IN_THIS_EDITION)
        self._throttle(round(call.now.timestamp() * 1000))
        statement = parse(search_statement(call.body))
        rows = self._search.rows(statement)
        if statement.counts:
            return Answer.of({"count": len(rows)})
        page = self._search.page(statement, rows, turn=next(self._turns))
        return Answer.of({"devices": [self._search.record(row, statement.fields) for row in page]})

    def _throttle(self, now_ms: int) -> None:
        """Let one search pass in a second; those that are refused do not prolong it, which is our choice."""
        if now_ms < self._next_search_ms:
            raise Refused(TOO_MANY_REQUESTS)
        self._next_search_ms = now_ms + self._pause_ms
