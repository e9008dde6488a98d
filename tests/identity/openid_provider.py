"""A real OpenID provider (oidc-provider from npm) as a process of its own, and somebody who signs in at it."""

import base64
import hashlib
import html
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from tests.identity.signing import SigningKey

_HERE = Path(__file__).parent / "provider"
_CACHE = Path(__file__).parents[2] / ".peers"  # git-ignored; what the benchmarks install lies there too
_REDIRECT = "http://127.0.0.1/signed-in"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE_S = 20.0


def installed() -> Path:
    """The folder of the provider's program, with what it needs; made on first use. Skips the test where that cannot be."""
    for command, package in (("node", "nodejs"), ("npm", "npm")):
        if shutil.which(command) is None and not _apt_install(package):
            pytest.skip(f"needs {command}; on Debian: sudo apt-get install nodejs npm (Node 20 or newer)")
    wanted = (_HERE / "package.json").read_bytes()
    folder = _CACHE / f"oidc-provider-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not folder.exists():
        _CACHE.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=_CACHE))
        shutil.copy(_HERE / "package.json", fresh)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        done = subprocess.run(argv, cwd=fresh, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            shutil.rmtree(fresh)
            pytest.skip(f"needs oidc-provider, and npm could not install it: {done.stderr.strip()[-300:]}")
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    shutil.copy(_HERE / "provider.mjs", folder)
    return folder


def _apt_install(package: str) -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print(f"installing {package}", file=sys.stderr)  # noqa: T201  it takes a while
    argv = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    for step in (["apt-get", "update"], argv):
        done = subprocess.run(
            step, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, check=False
        )
    return done.returncode == 0


class OpenIdProvider:
    """The provider's process. Its public names are those of `provider.mjs`."""

    def __init__(self, folder: Path) -> None:
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            ["node", "provider.mjs"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.issuer = ""
        self.audience = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._log.close()

    def command(self, command: str, **options: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self._process.stdin.flush()
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                assert "error" not in answer, answer["error"]
                return answer
        self._log.seek(0)
        raise AssertionError(f"the provider ended: {self._log.read()[-2000:]}")

    def start(self, *keys: SigningKey, alg: str = "RS256") -> None:
        found = self.command("start", keys=[key.as_dict(private=True) for key in keys], alg=alg)
        self.issuer, self.audience = found["issuer"], found["audience"]

    def rotate(self, *keys: SigningKey, alg: str = "RS256", issuer: str | None = None) -> None:
        """Other keys from now on; `issuer`: and another name in its tokens and documents."""
        content = [key.as_dict(private=True) for key in keys]
        self.command("pretend", keys=content, alg=alg, to_be=issuer or self.issuer)

    # -- signing in --

    def service_token(self, resource: str | None = None) -> bytes:
        """An access token of a program (client credentials), meant for `resource`."""
        answer = self._token(
            {"grant_type": "client_credentials", "resource": resource or self.audience, "scope": "infer"},
            {"authorization": _basic("service", "not a secret, it is a test")},
        )
        return str(answer["access_token"]).encode()

    def sign_in(self, person: str) -> dict[str, str]:
        """Tokens of somebody who signs in with a browser: authorization code with PKCE, the login form, then consent."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        state = secrets.token_urlsafe(8)
        query = {
            "client_id": "console",
            "response_type": "code",
            "redirect_uri": _REDIRECT,
            "scope": "openid infer",
            "resource": self.audience,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": state,
        }
        browser = _Browser()
        where, page = browser.get(f"{self.issuer}/auth?{urllib.parse.urlencode(query)}")
        while not where.startswith(_REDIRECT):
            action, fields = _form(page)
            if fields.get("prompt") == "login":
                fields |= {"login": person, "password": "any"}
            where, page = browser.post(urllib.parse.urljoin(where, action), fields)
        answer = urllib.parse.parse_qs(urllib.parse.urlsplit(where).query)
        assert answer["state"] == [state]
        assert answer["iss"] == [self.issuer]
        return self._token(
            {
                "grant_type": "authorization_code",
                "client_id": "console",
                "code": answer["code"][0],
                "redirect_uri": _REDIRECT,
                "code_verifier": verifier,
                "resource": self.audience,
            },
            {},
        )

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> dict[str, str]:
        request = urllib.request.Request(
            f"{self.issuer}/token", data=urllib.parse.urlencode(form).encode(), headers=headers
        )
        with _OPENER.open(request, timeout=PATIENCE_S) as response:
            answer: dict[str, str] = json.load(response)
        return answer


class _Browser:
    """Keeps cookies and follows redirects, but not the one out of the provider: nobody listens there."""

    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies, _StopOutside())

    def get(self, url: str) -> tuple[str, str]:
        return self._open(urllib.request.Request(url))

    def post(self, url: str, fields: dict[str, str]) -> tuple[str, str]:
        return self._open(urllib.request.Request(url, data=urllib.parse.urlencode(fields).encode()))

    def _open(self, request: urllib.request.Request) -> tuple[str, str]:
        """Where it ended, and the page there."""
        try:
            with self._opener.open(request, timeout=PATIENCE_S) as response:
                return response.url, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                place = error.headers.get("location") or ""
                if place.startswith(_REDIRECT):
                    return place, ""
                raise AssertionError(f"{error.code} from {request.full_url}: {error.read()[:500]!r}") from error


class _StopOutside(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        return None if newurl.startswith(_REDIRECT) else super().redirect_request(req, fp, code, msg, headers, newurl)


def _form(page: str) -> tuple[str, dict[str, str]]:
    """A page's form: where it goes, and the fields that it holds already."""
    action = re.search(r'<form[^>]*action="([^"]+)"', page)
    assert action is not None, page[:2000]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name is not None:
            fields[html.unescape(name[1])] = html.unescape(value[1]) if value is not None else ""
    return html.unescape(action[1]), fields


def _basic(name: str, secret: str) -> str:
    pair = f"{urllib.parse.quote(name)}:{urllib.parse.quote(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
