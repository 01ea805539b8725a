"""The devices of one project: which versions each runs, and whether it is being upgraded."""

from otaclient.models import DeviceId, DeviceUpgrade
from otaclient.paging import Paged
from otaclient.queries import DeviceUpgradeQuery
from otaclient.structuring import frozen_json
from otaclient.unsupported import UnsupportedDevices
from otaclient_iotda import requests
from otaclient_iotda.account import Account
from otaclient_iotda.mapping import device_upgrade_from
from otaclient_iotda.records import DeviceSearchResult
from otaclient_iotda.responses import parse_count, parse_device, parse_searched
from otaclient_iotda.statements import checked_statement

__all__ = ["IotdaDevices", "search_by_statement"]


class IotdaDevices(UnsupportedDevices):
    """The devices of one project: which versions each runs."""

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    async def get(self, device_id: DeviceId | str, /) -> DeviceUpgrade:
        """Return one device. Whether it is being upgraded, the vendor does not say here: ``upgrading`` is ``None``.

        Raises:
            NotFoundError: No such device in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query a Device".
        """
        account = self._account
        request = account.build("devices.get", requests.get_device, account.project_id, device_id)
        response = await account.session.call(request)
        return device_upgrade_from(account.parse(request, response, parse_device), backend=account.label)

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Return the devices that match: one walk for each product asked for, newest first within each.

        The times of registration are widened to whole seconds, and whether the ends count the vendor does not say.

        With ``resolve_upgrading``, each walk from the beginning first reads the tasks of all jobs of the resource space
        that have not ended: 12 requests where there is none, one more for every 50 jobs of one state and type, and for
        each job three, and one more for every 50 devices in it that are waiting or in process. A device that is among
        these counts as being upgraded until the walk ends, whatever becomes of it meanwhile.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the Device List".
        """
        return self._account.paged(self._account.devices(query, anew=True), query)


async def search_by_statement(account: Account, sql: str) -> DeviceSearchResult:
    """Return what one statement finds; see :meth:`otaclient_iotda.IotdaBackend.search_devices`."""
    statement = account.build("devices.query", checked_statement, sql)
    request = requests.search_devices(account.project_id, statement.text)
    response = await account.searches.call(request)
    if statement.counts:
        return DeviceSearchResult(count=account.parse(request, response, parse_count))
    found = account.parse(request, response, parse_searched)
    return DeviceSearchResult(
        devices=tuple(device_upgrade_from(device, backend=account.label) for device in found),
        rows=tuple(frozen_json(device.raw) for device in found),
        marker=found[-1].marker if found else None,
    )
