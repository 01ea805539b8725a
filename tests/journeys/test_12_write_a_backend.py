"""Journey 12: write a backend. That a whole one conforms: ``tests/e2e/test_third_party_backend.py``."""

from support.reader import Reader

PAGE = "docs/guides/writing-a-backend.md"

SERVE = """
server = TestServer(application)
await server.start_server()
print(server.make_url("/"))
"""


def test_write_a_backend(reader: Reader) -> None:
    """The two files of the page are a backend: installed, listed with its settings, and scanned by the command."""
    reader.follow(PAGE, "All of it")
    (tried,) = reader.follow(PAGE, "Try it")
    assert "certified" in tried
    # As `pip install .`, but beside the environment of the tests and without a network.
    reader.run("pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --target installed .")
    reader.environment["PYTHONPATH"] = str(reader.folder / "installed")
    assert "OTACLIENT_SHELF_API_KEY" in reader.run("otaclient backends")

    # The stock of the page goes on being served by the Python into which it was typed.
    reader.environment["OTACLIENT_SHELF_ENDPOINT"] = reader.type_in(SERVE).strip().rstrip("/")
    reader.environment["OTACLIENT_SHELF_API_KEY"] = "a-key"
    said = reader.run("otaclient devices scan --backend shelf --out shelf.csv")
    reader.type_in("await server.close()")
    assert said.startswith("certified: 617 devices")
    _, *rows = (reader.folder / "shelf.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[1] for row in rows] == [f"d{number:04}" for number in range(617)]
    refused = reader.run("otaclient jobs list --backend shelf", ends_with=2)
    assert "this backend has no such operation" in refused
    reader.environment["OTACLIENT_SHELF_ENDPOINT"] = "shelf.example.com"
    refused = reader.run("otaclient devices list --backend shelf", ends_with=2)
    assert "without https://" in refused
    assert "OTACLIENT_SHELF_ENDPOINT" in refused
