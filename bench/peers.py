"""Other AI gateways under the same load: `python -m bench.peers` (`make bench-peers`). What cannot run here is reported as such."""

import json
from pathlib import Path

from bench import throughput
from bench.installing import command, environment, printed, run_install, say
from bench.meter import Result, in_turn
from bench.options import chosen, finish, parser
from bench.report import ENVOY, NGINX, OURS, Report, publish
from bench.sides import PEERS, Launch, Side
from bench.traffic import ALIAS, KEY, TARGET_MODEL, Void

PORTKEY = "@portkey-ai/gateway@1.15.2"
LITELLM = "litellm[proxy]>=1.100,<2"
_REST_MADE_UP = "sk-the-upstream-asks-for-none"


class Portkey:
    """Portkey's open-source gateway on Node: the provider and its address come with each call, in headers; it checks no key."""

    name = "portkey"
    folder = PEERS / "portkey"

    def prepare(self) -> str:
        """See `Side.prepare`."""
        manifest = self.folder / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
        if not manifest.exists():
            say(f"installing {PORTKEY} into {self.folder.name}/ (first use)")
            self.folder.mkdir(parents=True, exist_ok=True)
            npm = command("npm", "npm")
            run_install([npm, "install", "--no-audit", "--no-fund", "--prefix", str(self.folder), PORTKEY], self.folder)
        return str(json.loads(manifest.read_text())["version"])

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        script = self.folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
            "authorization": f"Bearer {KEY}",
        }
        argv = [command("node", "nodejs"), str(script), f"--port={port}", "--headless"]
        return Launch(argv, port, headers, {"NODE_ENV": "production"}, ready_within_s=60)

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        return None


class LiteLLM:
    """LiteLLM's proxy: one model, one master key, no database, one worker."""

    name = "litellm"
    folder = PEERS / "litellm"

    def prepare(self) -> str:
        """See `Side.prepare`."""
        python = environment(self.folder, LITELLM) / "python"
        return printed([str(python), "-c", "import importlib.metadata as m; print(m.version('litellm'))"])

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        backend = {
            "model": f"openai/{TARGET_MODEL}",
            "api_base": f"http://127.0.0.1:{upstream_port}/v1",
            "api_key": _REST_MADE_UP,
        }
        settings = {
            "model_list": [{"model_name": ALIAS, "litellm_params": backend}],
            "general_settings": {"master_key": KEY},
        }
        config = folder / "litellm.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        options = [
            "--config",
            str(config),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
            "--telemetry",
            "False",
        ]
        # Without this it asks the internet for its list of prices when it starts.
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        argv = [str(self.folder / "bin" / "litellm"), *options]
        return Launch(argv, port, {"authorization": f"Bearer {KEY}"}, env, ready_within_s=120)

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        return None


def _measured(side: Side, rounds: int, seconds: float, notes: list[str]) -> list[Result]:
    """The side's result, or none and a note why: a peer that cannot run here says nothing about the others."""
    try:
        return in_turn([side], rounds, lambda one, folder: throughput.measure(one, folder, seconds))
    except Void as void:
        say(f"  {side.name}: not measured")
        notes.append(f"{side.name} could not be measured here: {void}")
        return []


def main() -> int:
    """Measure ours and the relays in turn, then each peer; print one table. Exit code 0: a comparison has no bar."""
    options = parser("CPU time per request of ours and of other AI gateways.", f"{OURS},{NGINX},{ENVOY}").parse_args()
    sides = chosen(options)
    report = Report("peers", {"rounds": options.rounds, "seconds": options.seconds})
    results = in_turn(sides, options.rounds, lambda side, folder: throughput.measure(side, folder, options.seconds))
    for peer in (Portkey(), LiteLLM()):
        results += _measured(peer, options.rounds, options.seconds, report.notes)
    report.figures["requests"] = results
    publish(report, [throughput.requests_table(results)], options.json)
    return report.exit_code


if __name__ == "__main__":
    finish(main)
