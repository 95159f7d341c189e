"""The few calls a starting cluster needs, without a process for each."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devcluster.errors import DevClusterError


class Api:
    """The API server, asked as the administrator."""

    def __init__(self, server: str, folder: Path) -> None:
        self._address = urlsplit(server)
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")

    def ready(self) -> bool:
        try:
            status, _ = self._ask("GET", "/readyz", None, {})
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def get(self, path: str) -> dict[str, Any]:
        return self._json("GET", path, None, {})

    def exists(self, path: str) -> bool:
        return self._ask("GET", path, None, {})[0] == 200

    def create(
        self, path: str, body: dict[str, Any], *, as_user: str | None = None
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if as_user:
            headers["Impersonate-User"] = as_user
        return self._json("POST", path, body, headers)

    def delete(self, path: str) -> None:
        """What is not there need not be deleted."""
        status, text = self._ask("DELETE", path, None, {})
        if status >= 400 and status != 404:
            raise DevClusterError(f"DELETE {path}: {text.decode(errors='replace')}")

    def _json(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        status, text = self._ask(method, path, body, headers)
        if status >= 400:
            raise DevClusterError(f"{method} {path}: {text.decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        host, port = self._address.hostname or "", self._address.port
        connection = http.client.HTTPSConnection(host, port, timeout=30, context=self._tls)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
