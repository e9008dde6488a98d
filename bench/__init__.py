"""Benchmarks: programs that put sides under the same load in one run, and print what each costs. See `bench/README.md`."""
