"""One way to say where a body ends (RFC 9112 6.1): a chunked request is refused and its connection closed."""

from __future__ import annotations

import io
import json
from typing import Any

from hsm_console.gateway.app import App
from hsm_console.gateway.compose import wsgi
from hsm_console.gateway.connection import CONNECTION_UID, PEER_DER, SRC


def test_a_chunked_request_is_refused_unread() -> None:
    def nobody(*_: Any) -> Any:
        raise AssertionError("it must be refused before anybody is asked for")

    body = io.BytesIO(b'{"role":null}GET /v1/health HTTP/1.1')
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/session",
        "CONTENT_LENGTH": "3",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": body,
        CONNECTION_UID: "c",
        PEER_DER: b"",
        SRC: "",
    }
    seen: list[Any] = []
    app = App((), identify=nobody, authorise=nobody, incidents=nobody)  # type: ignore[arg-type]
    answer = b"".join(wsgi(app)(environ, lambda status, headers: seen.append((status, dict(headers)))))

    assert json.loads(answer)["code"] == "body-unreadable"
    status, headers = seen[0]
    assert status.startswith("4")
    assert headers["Connection"] == "close"
    assert body.tell() == 0
