"""Fuzz every target with atheris, guided by coverage: `make fuzz SECONDS=60`; prints executions and findings.

Each target runs in a process of its own, since a finding ends it. The input that did it is kept in the corpus's folder:
put it into `tests/data/fuzz/<target>/` once it is mended, so that it is tried from then on.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent), str(_HERE.parents[1])]

INSTRUMENTED = [
    "campaigns",
    "worker.gateway",
    "worker.settings",
    "worker.setting_values",
    "tomllib",
    "dotenv.parser",
]
MAX_INPUT_BYTES = 65_536
MAX_S = 5
MAX_RSS_MB = 600  # the interpreter with all that is loaded takes about 200


def main() -> int:
    """Run all targets, or one of them inside its own process, where all else is the engine's."""
    if sys.argv[1:2] == ["--inside"]:
        _fuzz(sys.argv[2], [sys.argv[0], *sys.argv[3:]])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--corpus", type=Path, help="a folder to keep the corpora and findings in")
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    from seeds import seeds_of
    from targets import TARGETS

    folder = options.corpus or Path(tempfile.mkdtemp(prefix="outreach-corpus-"))
    rows = []
    for target in options.targets or TARGETS:
        corpus, found = folder / target, folder / f"{target}.findings"
        for each in (corpus, found):
            each.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds_of(target)):
            (corpus / f"seed-{number}").write_bytes(seed)
        rows.append((target, *_run(target, corpus, found, options.seconds)))
    print(f"\n{'target':<18}{'executions':>12}{'findings':>10}   seconds {options.seconds} each, in {folder}")
    for target, executions, findings in rows:
        print(f"{target:<18}{executions:>12,}{findings:>10}")
    return 1 if any(findings for *_, findings in rows) else 0


def _run(target: str, corpus: Path, found: Path, seconds: int) -> tuple[int, int]:
    """Run one target's process; give its executions and how many inputs it stopped at."""
    before = set(found.iterdir())
    engine = [
        f"-max_total_time={seconds}",
        f"-timeout={MAX_S}",
        f"-rss_limit_mb={MAX_RSS_MB}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-artifact_prefix={found}/",
        f"-dict={_dictionary(target, corpus.parent)}",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    ]
    child = subprocess.run(
        [sys.executable, __file__, "--inside", target, *engine],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    executions = re.search(r"number_of_executed_units:\s*(\d+)", child.stdout)
    findings = sorted(set(found.iterdir()) - before)
    if child.returncode or findings:
        print(f"--- {target} ended with {child.returncode}: {', '.join(map(str, findings))}")
        print(child.stdout[-6_000:])
    return int(executions[1]) if executions else 0, len(findings) or int(child.returncode != 0)


def _dictionary(target: str, folder: Path) -> Path:
    from seeds import tokens_of

    path = folder / f"{target}.dict"
    short = [token for token in tokens_of(target) if len(token) <= 40] or [b"\0"]
    lines = ["".join(f"\\x{byte:02x}" for byte in token) for token in short]
    path.write_text("".join(f'"{line}"\n' for line in lines))
    return path


def _fuzz(target: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from targets import TARGETS
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
