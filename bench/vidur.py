"""The planner beside Vidur on the same trace: `python -m bench.vidur`.

Vidur (microsoft/vidur, MIT; Agrawal et al., "Vidur: A Large-Scale Simulation Framework for LLM Inference", MLSys 2024) is installed into an
environment of its own from its package. Both simulate Llama 3.1 8B on H100 with the same step times (see `vidur_side`), the same KV cache,
chunks of 2,048 tokens, at most 256 sequences; one replica, since the two spread calls differently. CPU time of the simulation alone,
without reading the trace; of ours once more with the detailed method.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.installing import environment, run_install, say
from bench.planner import MODEL, SHARED, ended, floor
from bench.report import machine
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import sites_of
from switchgear.planner.simulate import Method
from switchgear.planner.traces import read_trace
from switchgear.planner.workload import Workload

PEERS = Path(".peers")
REQUIREMENT = "vidur==0.0.26"


def ours(fleet: Fleet, calls: Workload, method: Method) -> tuple[float, np.ndarray, np.ndarray]:
    """CPU seconds, times to the first token and to the last, seconds; the second of two runs, so that nothing is compiled in it."""
    for _ in range(2):
        begin = time.process_time()
        rows = ended(fleet, calls, method)
        spent_s = time.process_time() - begin
    return spent_s, rows["ttft_s"], rows["e2e_s"]


def theirs(fleet: Fleet, calls: Workload) -> tuple[float, np.ndarray, np.ndarray]:
    """The same of Vidur."""
    (site,) = sites_of(fleet)
    assert site.cost is not None
    names = ("token_s", "sampled_s", "pair_s", "cached_pair_s", "weights_s", "cached_s")
    cost = {name: getattr(site.cost, name) for name in (*names, "step_overhead_s", "sequence_overhead_s")}
    rows = zip(calls.at_s.tolist(), calls.prompt_tokens.tolist(), calls.output_tokens.tolist(), strict=True)
    asked = {"cost": cost, "replicas": site.place.units, "kv_blocks": site.kv_blocks, "calls": list(rows)}
    python = environment(PEERS / "vidur", REQUIREMENT) / "python"
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.json", Path(folder) / "answer.json"
        question.write_text(json.dumps(asked))
        run_install(
            [str(python), "-P", str(Path(__file__).with_name("vidur_side.py")), str(question), str(answer)],
            Path(folder) / "x",
        )
        got = json.loads(answer.read_text())
    return got["cpu_s"], np.array(got["ttft_s"]), np.array(got["e2e_s"])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The planner beside Vidur.")
    parser.add_argument("--calls", type=int, default=2000, help="of the trace")
    parser.add_argument("--trace", type=Path, default=SHARED / "azure_llm_2023_conv.csv")
    options = parser.parse_args()
    trace = read_trace(options.trace)
    calls = trace.part(0, min(options.calls, len(trace)))
    fleet = Fleet(name="h100", model=MODEL, places=(floor(units=1, prefix_cache=False),))
    say("simulating")
    sides = {
        "switchgear, fast": ours(fleet, calls, Method.FAST),
        "switchgear, detailed": ours(fleet, calls, Method.DETAILED),
    }
    sides[f"vidur {REQUIREMENT.partition('==')[2]}"] = theirs(fleet, calls)
    base_s, _, e2e_s = sides["switchgear, fast"]
    table = Table(
        "side", "CPU s", "calls/s", "x ours", "TTFT p50 s", "TTFT p99 s", "E2E p50 s", "E2E p99 s", "E2E off, median"
    )
    for name, (cpu_s, first_s, last_s) in sides.items():
        percentiles = [f"{np.percentile(times, at):.4g}" for times in (first_s, last_s) for at in (50, 99)]
        off = np.median(np.abs(last_s / e2e_s - 1))
        table.add_row(
            name, f"{cpu_s:.3f}", f"{len(calls) / cpu_s:,.0f}", f"{cpu_s / base_s:,.1f}", *percentiles, f"{off:.2%}"
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    facts = {"trace": f"{options.trace.name}, {len(calls)} calls", **machine()}
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
