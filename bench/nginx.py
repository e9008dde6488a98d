"""nginx: as a bare relay under measurement, and as the cheap upstream of the request benchmark."""

import contextlib
import getpass
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

from bench.installing import command, printed
from bench.sides import Launch, free_port, process, wait_for_port
from bench.traffic import PATH, chat_answer

_SHARED = """\
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
worker_rlimit_nofile 20000;
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  # The default closes a connection after 1,000 requests (75 s without one); the connections of a benchmark stay.
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
{http}
}}
"""

_RELAY = """\
  upstream backend {{
    server 127.0.0.1:{upstream_port};
    keepalive 4096;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 3600s;
    }}
  }}
"""

_UPSTREAM = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = {path} {{
      default_type application/json;
      return 200 '{answer}';
    }}
    location = /count {{ stub_status; }}
    location / {{ return 404; }}
  }}
"""


def _write(folder: Path, http_block: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    # As root the worker would change to a user who may not enter a temporary folder.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_SHARED.format(folder=folder, http=http_block, user=user))
    return [command("nginx", "nginx-light"), "-p", str(folder), "-e", "stderr", "-c", str(config)]


class Nginx:
    """Bare `proxy_pass` with kept-alive upstream connections, one worker, no access log, no response buffering."""

    name = "nginx"

    def prepare(self) -> str:
        """See `Side.prepare`."""
        return printed([command("nginx", "nginx-light"), "-v"]).rpartition("/")[2]

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        return Launch(_write(folder / "nginx", _RELAY.format(port=port, upstream_port=upstream_port)), port)

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        return None


class Upstream:
    """The upstream that answers each call with the same 600 bytes, and counts what reached it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._asked = 0

    def requests(self) -> int:
        """Calls that have reached it. Asking is a request of its own, which is not counted."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", "/count")
            lines = connection.getresponse().read().decode().splitlines()
        # Below the line "server accepts handled requests" stand three numbers; nginx counts this very request too.
        self._asked += 1
        return int(lines[2].split()[2]) - self._asked


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    """Run the upstream for the length of the block."""
    port = free_port()
    answer = chat_answer().decode()
    argv = _write(folder / "upstream", _UPSTREAM.format(port=port, path=PATH, answer=answer))
    log = folder / "upstream.log"
    with process(argv, log) as child:
        wait_for_port(port, child, log)
        yield Upstream(port)
