"""Hold the benchmarks, one file a question."""
