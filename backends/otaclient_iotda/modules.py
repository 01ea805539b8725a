"""The OTA modules of one project: parts of devices that are upgraded apart from their firmware and software."""

from otaclient.paging import Paged
from otaclient_iotda import requests, write_requests
from otaclient_iotda.account import Account
from otaclient_iotda.commands import carry_out
from otaclient_iotda.mapping import module_from
from otaclient_iotda.records import OtaModule
from otaclient_iotda.responses import parse_module

__all__ = ["IotdaModules"]


class IotdaModules:
    """The OTA modules of one project, which other vendors do not have."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def get(self, module_id: str, /) -> OtaModule:
        """Return the module with this identifier.

        Raises:
            NotFoundError: No such module in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query an OTA Module".
        """
        account = self._account
        request = account.build("modules.get", requests.get_module, account.project_id, module_id)
        response = await account.session.call(request)
        return module_from(account.parse(request, response, parse_module), backend=account.label)

    def search(self, *, product_id: str | None = None, owner_id: str | None = None) -> Paged[OtaModule]:
        """Return the modules, newest first.

        Args:
            product_id: Only those of this product.
            owner_id: Only those of this resource space; the client's own unless given.

        Raises:
            InvalidQueryError: A value cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the OTA Module List".
        """
        source = self._account.modules(product_id=product_id, owner_id=owner_id)
        return self._account.paged(source, (product_id, owner_id))

    async def create(
        self, *, product_id: str, name: str, alias: str | None = None, description: str | None = None
    ) -> OtaModule:
        """Create a module of a product, which may have ten of them, and return it.

        It belongs to the resource space of the configuration, or that of ``with_options(owner_id=...)``.

        Args:
            product_id: The product.
            name: Unique within the product; 1 to 64 letters, digits, '_', '.' and '-'. It stays for ever.
            alias: Another name, of at most 64 characters, for people.
            description: At most 1024 characters.

        Raises:
            InvalidQueryError: A value cannot be right, or the resource space is missing; nothing was sent.
            OutcomeUnknownError: It may or may not have been created; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Create an OTA Module".
        """
        account = self._account
        request = account.build(
            "modules.create",
            write_requests.create_module,
            account.project_id,
            app_id=account.app_id,
            product_id=product_id,
            name=name,
            alias=alias,
            description=description,
        )
        response = await account.write(request)
        return module_from(account.parse(request, response, parse_module), backend=account.label)

    async def update(self, module_id: str, /, *, alias: str | None = None, description: str | None = None) -> OtaModule:
        """Change the alias or the description of a module and return it; what is not given stays as it is.

        Raises:
            NotFoundError: No such module in this project (HTTP status 404).
            InvalidQueryError: A value cannot be right, or there is nothing to change; nothing was sent.
            OutcomeUnknownError: It may or may not have been changed; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Update an OTA Module".
        """
        account = self._account
        request = account.build(
            "modules.update",
            write_requests.update_module,
            account.project_id,
            module_id,
            alias=alias,
            description=description,
        )
        response = await account.write(request)
        return module_from(account.parse(request, response, parse_module), backend=account.label)

    async def delete(self, module_id: str, /) -> None:
        """Delete a module, for good.

        Raises:
            NotFoundError: No such module in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been deleted; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Delete an OTA Module".
        """
        account = self._account
        request = account.build("modules.delete", write_requests.delete_module, account.project_id, module_id)
        await carry_out(account, request)
