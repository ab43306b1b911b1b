"""Where the time of TensorFlow's matrix products and convolutions goes, by oneDNN's own account.

    ONEDNN_VERBOSE=1 python … > FILE
    python benchmarks/onednn.py FILE

Sums the times in FILE by kind of primitive, and names the slowest problems with their rates.
``step.py --verbose-onednn FILE`` does both for one training step.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SLOWEST = 12  # problems to name


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python benchmarks/onednn.py FILE  (made with ONEDNN_VERBOSE=1)")
    text = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    show(account(text.splitlines()))


def account(lines: Iterable[str]) -> dict[str, Any]:
    """Milliseconds by primitive and by problem, from the lines of a oneDNN log; others are skipped.

    Returns:
        ``milliseconds``, the sum; ``primitives`` and ``problems``, lists that begin with the
        slowest, of rows with ``primitive``, ``calls``, ``milliseconds``, ``share``; problems also
        have ``problem``, ``implementation`` and ``gflop_per_second`` (convolutions and matrix
        products, else None).
    """
    primitives: dict[str, list[float]] = {}
    problems: dict[tuple[str, str, str], list[float]] = {}
    for line in lines:
        if found := read_line(line):
            primitive, implementation, problem, taken = found
            primitives.setdefault(primitive, []).append(taken)
            problems.setdefault((primitive, problem, implementation), []).append(taken)
    total = sum(map(sum, primitives.values()))

    def row(times: list[float]) -> dict[str, Any]:
        milliseconds = sum(times)
        share = milliseconds / total if total else 0.0
        return {"calls": len(times), "milliseconds": milliseconds, "share": share}

    by_problem = [
        {"primitive": primitive, "problem": problem, "implementation": implementation}
        | {"gflop_per_second": rate(problem, times), **row(times)}
        for (primitive, problem, implementation), times in slowest_first(problems)[:SLOWEST]
    ]
    by_primitive = [{"primitive": p, **row(times)} for p, times in slowest_first(primitives)]
    return {"milliseconds": total, "primitives": by_primitive, "problems": by_problem}


def slowest_first(groups: dict[Any, list[float]]) -> list[tuple[Any, list[float]]]:
    return sorted(groups.items(), key=lambda item: -sum(item[1]))


def read_line(line: str) -> tuple[str, str, str, float] | None:
    """(primitive with its direction, implementation, problem, milliseconds) of one execution.

    The fields are ``…,exec,engine,primitive,implementation,direction,…,problem,milliseconds``.
    """
    fields = line.strip().split(",")
    if not line.startswith("onednn_verbose") or "exec" not in fields:
        return None
    start = fields.index("exec")
    try:
        primitive, implementation, direction = fields[start + 2 : start + 5]
        taken = float(fields[-1])
    except ValueError:  # a line that was cut off
        return None
    direction = {"undef": "", "forward_training": "forward", "backward_data": "backward data"}.get(
        direction, direction.replace("_", " ")
    )
    return f"{primitive} {direction}".strip(), implementation, fields[-2], taken


def rate(problem: str, times: list[float]) -> float | None:
    """Thousand million operations a second of a convolution or matrix product."""
    operations = operations_of(problem)
    return operations * len(times) / sum(times) / 1e6 if operations and sum(times) else None


def operations_of(problem: str) -> int | None:
    """Two a multiply-add; None for what is neither a convolution nor a matrix product.

    Example:
        >>> operations_of("48000x32:32x24") == 2 * 48000 * 32 * 24
        True
    """
    sizes = {name: int(value) for name, value in re.findall(r"([a-z]+)(\d+)", problem)}
    if {"mb", "ic", "oc", "oh", "ow", "kh", "kw"} <= sizes.keys():
        count = 2
        for name in ("mb", "ic", "oc", "oh", "ow", "kh", "kw"):
            count *= sizes[name]
        return count // sizes.get("g", 1)
    if product := re.fullmatch(r"((?:\d+x)*)(\d+)x(\d+):(?:\d+x)*\3x(\d+)", problem):
        count = 2 * int(product[2]) * int(product[3]) * int(product[4])
        for size in product[1].split("x")[:-1]:
            count *= int(size)
        return count
    return None


def show(result: dict[str, Any]) -> None:
    print(f"\noneDNN: {result['milliseconds']:.1f} ms in all")
    print(f"{'primitive':32} {'calls':>6} {'ms':>9} {'share':>7}")
    for row in result["primitives"]:
        print(f"{row['primitive']:32} {row['calls']:6} {row['milliseconds']:9.1f} ", end="")
        print(f"{row['share']:7.1%}")
    print(f"\n{'slowest problems':32} {'calls':>6} {'ms':>9} {'GFLOP/s':>8}")
    for row in result["problems"]:
        per_second = row["gflop_per_second"]
        shown = "" if per_second is None else f"{per_second:.0f}"
        print(
            f"{row['primitive']:32} {row['calls']:6} {row['milliseconds']:9.1f} {shown:>8}", end=""
        )
        print(f"  {row['problem']}")


if __name__ == "__main__":
    main()
