"""Switchgear itself, with all that a call passes switched on: key check, routing, breaker, metrics, prices, journaled record."""

import hashlib
import subprocess
import sys
from pathlib import Path

import switchgear.policy
from bench.installing import printed
from bench.sides import Launch, free_port
from bench.traffic import ALIAS, KEY, TARGET_MODEL, Void

PROGRAM = str(Path(sys.executable).with_name("switchgear"))

_CONFIG = """\
[gateway]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
workers = 1
state_dir = "{folder}/state"

[[keys]]
name = "bench"
sha256 = "{key_sha256}"
team = "bench"

[backends.appliance]
kind = "appliance"
protocol = "openai"
base_url = "http://127.0.0.1:{upstream_port}/v1"
region = "eu-central"
max_in_flight = 8192
prices = {{ input_usd_per_mtok = 0.02, output_usd_per_mtok = 0.08 }}
timeouts = {{ connect_s = 5.0, first_token_s = 60.0, idle_s = 600.0, total_s = 3600.0 }}

[models.{alias}]
strategy = "priority"
targets = [ {{ backend = "appliance", model = "{target}" }} ]
"""


_POLICY = """
[[limits]]
team = "bench"
requests_per_minute = 100_000_000
tokens_per_minute = 100_000_000_000
in_flight = 10_000
usd_per_month = 1_000_000.0

[[limits]]
key = "*"
model = "*"
requests_per_minute = 100_000_000

[teams.bench]
roles = ["engineer"]
data_class = "confidential"

[policy]
files = ["{policies}/*.cedar"]

[[screen.rules]]
name = "no-cards"
find = ["payment_card", "iban", "national_id"]
action = "refuse"

[[screen.rules]]
name = "no-contacts"
find = ["contact"]
action = "redact"

[[screen.rules]]
name = "secrets-stay"
find = ["secret"]
action = "route"
raise_to = "restricted"

[[screen.answer_rules]]
name = "no-leaks"
find = ["secret"]
action = "block"
"""
"""Everything that may stand in a call's way: Cedar's starting policies, classes, limits and a budget, the screen of call and answer."""


class Ours:
    """`switchgear gateway --config FILE`: supervisor, one worker and whatever else it starts; the whole tree counts."""

    def __init__(self, *, policy: bool = False) -> None:
        """`policy`: with policies, limits and the content screen as well."""
        self.name = "switchgear-policy" if policy else "switchgear"
        self._policy = policy

    def prepare(self) -> str:
        """See `Side.prepare`."""
        return printed([PROGRAM, "--version"]).split()[-1]

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        admin = free_port()
        key_sha256 = hashlib.sha256(KEY.encode()).hexdigest()
        values = {"port": port, "admin": admin, "upstream_port": upstream_port, "folder": folder}
        text = _CONFIG.format(**values, key_sha256=key_sha256, alias=ALIAS, target=TARGET_MODEL)
        if self._policy:
            text += _POLICY.format(policies=Path(switchgear.policy.__file__).parent / "starting")
        (folder / "switchgear.toml").write_text(text)
        return Launch(
            [PROGRAM, "gateway", "--config", str(folder / "switchgear.toml")],
            port,
            headers={"authorization": f"Bearer {KEY}"},
            ready_url=f"http://127.0.0.1:{admin}/readyz",
        )

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        argv = [PROGRAM, "records", "--config", str(folder / "switchgear.toml"), "--count"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode or not done.stdout.strip().isdigit():
            raise Void(f"the journal could not be counted: {(done.stderr or done.stdout).strip()[-300:]}")
        return int(done.stdout)
