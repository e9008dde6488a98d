"""`make bench`: CPU per request and CPU per relayed chunk, of ours, nginx and Envoy, in one run. Exit code 1 when a bar does not hold."""

from bench import streaming, throughput
from bench.options import chosen, finish, parser
from bench.ours import Ours
from bench.report import Report, publish


def main() -> int:
    """Measure both, print both."""
    options_of = parser("CPU time per request and per relayed chunk, of ours, nginx and Envoy.")
    streaming.add_options(options_of)
    options = options_of.parse_args()
    sides = chosen(options)
    report = Report("all", {"rounds": options.rounds, "seconds": options.seconds})
    requests = throughput.compare([*sides, Ours(policy=True)], options)
    throughput.fill(report, requests)
    chunks = streaming.compare(sides, options)
    streaming.fill(report, chunks)
    publish(report, [throughput.requests_table(requests), streaming.chunks_table(chunks, options)], options.json)
    return report.exit_code


if __name__ == "__main__":
    finish(main)
