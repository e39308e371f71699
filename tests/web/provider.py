"""A provider of single sign-on in a thread: oidc-provider-mock, which signs and checks as the standard says.

It does not look at PKCE (RFC 7636), so that is checked here, before it, by the standard's own formula.
"""

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import oidc_provider_mock
from joserfc import jwt
from joserfc.jwk import RSAKey
from oidc_provider_mock._storage import User
from werkzeug.serving import make_server


class Provider:
    """Serves on a free port of this machine.

    `forge` changes the claims of the next identity token and signs it with another key, or with none.
    """

    def __init__(self, *people: tuple[str, dict[str, object]]) -> None:
        users = [User(sub=subject, claims=claims) for subject, claims in people]
        self._inner = oidc_provider_mock.app(require_nonce=True, user_claims=users)
        self._challenges: dict[str, str] = {}
        self.forge: Callable[[dict[str, Any]], tuple[dict[str, Any], str]] | None = None
        self._server = make_server("127.0.0.1", 0, self._respond, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Provider":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def log_in(self, address: str, subject: str, **form: str) -> str:
        """What a person does there: log in as somebody, and come back to the address that is returned."""
        answer = httpx.post(address, data={"sub": subject} | form)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])

    def _respond(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
        environ["HTTP_HOST"] = self.url.removeprefix("http://")  # its one name, however it was reached
        if path == "/oauth2/authorize":
            if query.get("code_challenge_method") != ["S256"]:
                return _refuse(start, "code_challenge_method must be S256")
            self._challenges[query["state"][0]] = query["code_challenge"][0]
        if path != "/oauth2/token":
            return self._inner(environ, start)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        verifier = parse_qs(body.decode()).get("code_verifier", [""])[0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if digest not in self._challenges.values():
            return _refuse(start, "code_verifier does not belong to the code_challenge")
        environ["wsgi.input"] = io.BytesIO(body)
        answer = self._inner(environ, start)
        return [self._forged(b"".join(answer))] if self.forge else answer

    def _forged(self, content: bytes) -> bytes:
        """The answer with another identity token, padded to the length that was announced."""
        assert self.forge
        answer = json.loads(content)
        _, claims, _ = answer["id_token"].split(".")
        decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
        changed, how = self.forge(decoded)
        if how == "none":
            parts = (json.dumps(part).encode() for part in ({"alg": "none"}, changed))
            answer["id_token"] = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        else:
            answer["id_token"] = jwt.encode({"alg": "RS256"}, changed, RSAKey.generate_key(2048))
        answer["refresh_token"] = ""
        return json.dumps(answer).encode().ljust(len(content))[: len(content)]


def _refuse(start: Any, reason: str) -> list[bytes]:
    start("400 Bad Request", [("Content-Type", "application/json")])
    return [json.dumps({"error": "invalid_request", "error_description": reason}).encode()]


def query_of(address: str, **changes: str) -> str:
    """An address with some of its query changed."""
    path, _, query = address.partition("?")
    return f"{path}?{urlencode({name: values[0] for name, values in parse_qs(query).items()} | changes)}"
