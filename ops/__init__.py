"""How people run it: command line, simulator, benchmarks and deployment."""
