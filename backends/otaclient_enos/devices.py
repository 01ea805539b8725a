"""The devices of one organisation."""

from otaclient.models import DeviceUpgrade
from otaclient.paging import Paged
from otaclient.queries import DeviceUpgradeQuery
from otaclient.unsupported import UnsupportedDevices
from otaclient_enos.account import Account

__all__ = ["EnosDevices"]


class EnosDevices(UnsupportedDevices):
    """The devices of one organisation: which firmware each runs, and whether it is being upgraded."""

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Return the devices that match, in an order that the vendor does not document.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search Device Upgrade".
        """
        return self._account.paged(self._account.devices(query), query)
