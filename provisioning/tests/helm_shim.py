"""What befalls a Helm that a test has marked: the program beside it, for as long as it runs.

Its arguments are a plan (a file of JSON, see ``Platform.strike_helm``) and the process id of Helm. It
asks the API server again and again whether the plan's object has appeared (or gone), and then does to
Helm what the plan says.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOK_SECONDS = 0.005


def connect(plan: dict[str, Any]) -> http.client.HTTPSConnection:
    identities = Path(plan["identities"])
    tls = ssl.create_default_context(cafile=str(identities / "ca.crt"))
    tls.load_cert_chain(identities / "admin.crt", identities / "admin.key")
    server = urlsplit(plan["server"])
    return http.client.HTTPSConnection(server.hostname or "", server.port, timeout=5, context=tls)


def is_there(connection: http.client.HTTPSConnection, path: str) -> bool:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status == 200


def strike(plan: dict[str, Any], helm: int) -> None:
    if plan["does"] == "DELAY":
        os.kill(helm, signal.SIGSTOP)
        time.sleep(plan["seconds"])
        os.kill(helm, signal.SIGCONT)
    else:
        os.kill(helm, signal.Signals[f"SIG{plan['does']}"])


def main() -> None:
    file, helm = Path(sys.argv[1]), int(sys.argv[2])
    plan = json.loads(file.read_text())
    connection = connect(plan)
    is_there(connection, plan["path"])
    # Helm waits for this: its first write must not be over before we look.
    file.with_suffix(".looking").touch()
    while is_there(connection, plan["path"]) == plan["gone"]:
        if not Path(f"/proc/{helm}").exists():
            return
        time.sleep(LOOK_SECONDS)
    strike(plan, helm)
    file.with_suffix(".done").write_text(str(helm))


if __name__ == "__main__":
    main()
