"""The front door of a registry, which exchanges a user's password for tokens.

contree-mcp looks for it over HTTPS on port 443 of the registry's host, whatever the registry's own
port is. The registry of this suite has no such door, so one is put before it: on an address of the
loopback network that the test chose, with a certificate made for it.
"""

import base64
import datetime
import ipaddress
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]
HOST = REGISTRY.rsplit(":", 1)[0]
USER, PASSWORD = os.environ["CONTREE_TEST_REGISTRY_LOGIN"].split(":")


class Door:
    """Answers `/v2/` and `/token` while it is open."""

    def __init__(self, folder):
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        make_certificate(self.certificate, key)
        self._server = ThreadingHTTPServer((HOST, 443), Answers)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.path == "/v2/":
            self.send_response(401)
            realm = f'Bearer realm="https://{HOST}/token",service="test"'
            self.send_header("Www-Authenticate", realm)
        elif self.headers.get("Authorization") == f"Basic {login}":
            self.send_response(200)
        else:
            self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing is worth telling."""


def make_certificate(certificate, key):
    """A certificate for the host, signed by itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, *form))
