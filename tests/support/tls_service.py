"""An emulated vendor behind TLS, with real certificates."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import trustme

import otaclient
from otaclient.emulator import Fleet
from otaclient.protocols import Backend
from otaclient.registry import emulator_class
from otaclient.transport.options import TransportOptions
from support.piping import piped, talking

__all__ = ["FLEET", "Authority", "emulated", "opened", "refusing_tls", "serving_tls"]

FLEET = Fleet.generate(devices=60, seed=5)


class Authority:
    """An authority that no machine trusts, with its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))

    def client(self, name: str) -> dict[str, Path]:
        """Return the options of a client that shows a certificate of this authority."""
        issued = self.ca.issue_cert(f"{name}@example.org")
        files = {
            "client_certificate": self._folder / f"{name}.pem",
            "client_key": self._folder / f"{name}.key",
        }
        issued.cert_chain_pems[0].write_to_path(str(files["client_certificate"]))
        issued.private_key_pem.write_to_path(str(files["client_key"]))
        return files

    def server(self, *names: str, clients_of: "Authority | None" = None, **options: Any) -> ssl.SSLContext:
        """Return a server's context with a certificate for these names; it may ask who the client is."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(*(names or ("localhost",)), **options).configure_cert(context)
        if clients_of is not None:
            clients_of.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def self_signed(self) -> ssl.SSLContext:
        """Return a server's context with a certificate that only vouches for itself."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        key = self._folder / "ca.key"
        self.ca.private_key_pem.write_to_path(str(key))
        context.load_cert_chain(self.ca_file, key)
        return context


@asynccontextmanager
async def serving_tls(context: ssl.SSLContext, port: int) -> AsyncIterator[int]:
    """Put TLS in front of a port of loopback, and give the port where it is spoken."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await piped(reader, writer, port=port)

    async with talking(talk, ssl=context) as secured:
        yield secured


@asynccontextmanager
async def refusing_tls(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Refuse every handshake, with the alert that says why, and give the port.

    In a thread, because a server of asyncio's hangs up without one.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection, suppress(OSError):
                with connection.dup() as plain:
                    plain.settimeout(5)
                    with suppress(ssl.SSLError):
                        context.wrap_socket(connection, server_side=True).recv(1)
                        raise AssertionError("the handshake was to fail")
                    # Closed with something unread, a connection is reset, and the alert may be lost.
                    plain.shutdown(socket.SHUT_WR)
                    while plain.recv(4096):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        await asyncio.to_thread(thread.join)


@asynccontextmanager
async def emulated(name: str) -> AsyncIterator[Any]:
    """Run a vendor's emulator."""
    async with emulator_class(name)(FLEET.copy()) as emulator:
        yield emulator


def opened(emulator: Any, endpoint: str, **options: Any) -> Backend:
    """Return a client of an emulator that is reached at another address."""
    keywords = {name: options.pop(name) for name in ("session", "retry", "on_event", "limits") if name in options}
    config = attrs.evolve(emulator.config(), endpoint=endpoint)
    transport = TransportOptions(**options)
    return otaclient.open_backend(emulator.vendor, config=config, transport=transport, **keywords)
