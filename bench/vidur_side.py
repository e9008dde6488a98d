"""Runs Vidur on one trace: `python vidur_side.py ASKED.json ANSWER.json`, in Vidur's environment. Knows nothing of this project.

Steps take what a roofline with the given coefficients says (`StepCost` of the planner): Vidur's own tables come from a hub of models and
are not part of its package. So both simulate the same hardware, and none of Vidur's time goes into training or looking up a table. What
Vidur records of each step for its plots is switched off.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from vidur._native.entities import ExecutionTime
from vidur.config import SimulationConfig
from vidur.config.config import (
    CacheConfig,
    ClusterConfig,
    LORGlobalSchedulerConfig,
    MetricsConfig,
    RandomForrestExecutionTimePredictorConfig,
    ReplicaConfig,
    SarathiSchedulerConfig,
    TraceRequestGeneratorConfig,
)
from vidur.execution_time_predictor import BaseExecutionTimePredictor, ExecutionTimePredictorRegistry
from vidur.simulator import Simulator
from vidur.types import ExecutionTimePredictorType

ASKED = json.loads(Path(sys.argv[1]).read_text())
COST = ASKED["cost"]


class Roofline(BaseExecutionTimePredictor):
    """One step's time, as one layer's, milliseconds."""

    def get_execution_time(self, batch, pipeline_stage):
        decodes = context = prefill = pairs = cached = ended = 0
        for request, new, known in zip(batch.requests, batch.num_q_tokens, batch.num_kv_tokens, strict=True):
            if request.is_prefill_complete:
                decodes += 1
                context += known
            else:
                prefill += new
                pairs += new * (known - new) + new * (new + 1) // 2
                cached += known - new
                ended += known >= request.num_prefill_tokens
        tokens, sampled = decodes + prefill, decodes + ended
        flop = tokens * COST["token_s"] + sampled * COST["sampled_s"]
        flop += pairs * COST["pair_s"] + context * COST["cached_pair_s"]
        traffic = COST["weights_s"] + (context + cached + tokens) * COST["cached_s"]
        step_s = max(flop, traffic) + COST["step_overhead_s"] + sampled * COST["sequence_overhead_s"]
        return ExecutionTime(1, *([0.0] * 6), step_s * 1e3, *([0.0] * 5), 0.0, 0.0)


Roofline.__abstractmethods__ = frozenset()  # the parts of a layer: nobody asks for them once the whole is given


def config(folder: str) -> SimulationConfig:
    """The cluster that was asked for."""
    trace = Path(folder) / "trace.csv"
    rows = [f"0,{at},{prompt},{output}" for at, prompt, output in ASKED["calls"]]
    trace.write_text("\n".join(["Date,Time,PromptTokenCount,CompletionTokenCount", *rows]))
    return SimulationConfig(
        log_level="error",
        cluster_config=ClusterConfig(
            num_replicas=ASKED["replicas"],
            replica_config=ReplicaConfig(num_pipeline_stages=1, tensor_parallel_size=1),
            cache_config=CacheConfig(num_blocks=ASKED["kv_blocks"], watermark_blocks_fraction=0.0),
            global_scheduler_config=LORGlobalSchedulerConfig(),
            replica_scheduler_config=SarathiSchedulerConfig(chunk_size=2048, batch_size_cap=256),
        ),
        request_generator_config=TraceRequestGeneratorConfig(
            trace_file=str(trace), date=0, prefill_scale_factor=1, time_scale_factor=1, max_tokens=131_072
        ),
        execution_time_predictor_config=RandomForrestExecutionTimePredictorConfig(cache_dir=folder),
        metrics_config=MetricsConfig(
            write_metrics=False, enable_chrome_trace=False, store_plots=False, output_dir=folder
        ),
    )


def main() -> None:
    """Simulate, and write CPU seconds and the times of each call."""
    kind = ExecutionTimePredictorType.RANDOM_FORREST
    ExecutionTimePredictorRegistry.unregister(kind)
    ExecutionTimePredictorRegistry.register(kind, Roofline)
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(config(folder))
        simulator._write_output = lambda: None  # plots, after the simulation
        requests = [event._request for _, event in simulator._event_queue]
        begin = time.process_time()
        simulator.run()
        spent_s = time.process_time() - begin
    requests.sort(key=lambda request: request.arrived_at)
    answer = {
        "cpu_s": spent_s,
        "e2e_s": [request.e2e_time for request in requests],
        "ttft_s": [request.prefill_completed_at - request.arrived_at for request in requests],
    }
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
