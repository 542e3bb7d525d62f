"""A server that speaks for Kubernetes's API: over TLS, with a token, and strict about what it is sent."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.infra.manifests import Manifest, problems


class Api(BaseHTTPRequestHandler):
    """The part of Kubernetes's API that creates objects with names."""

    seen: list[tuple[str, str, Manifest]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wrong = problems(body)
        twice = any(body["metadata"]["name"] == one["metadata"]["name"] for _, _, one in self.seen)
        self.seen.append((self.path, self.headers["Authorization"], body))
        self.send_response(422 if wrong else 409 if twice else 201)
        self.end_headers()
        self.wfile.write("; ".join(wrong).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "ca.crt"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[HTTPServer, Path]]:
    """A server that speaks for Kubernetes, and the folder of a service account that it knows."""
    handler = type("One", (Api,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path), tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "token").write_text("who-i-am\n")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server, tmp_path
    server.shutdown()
    server.server_close()
    thread.join()
