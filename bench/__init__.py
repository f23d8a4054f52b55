"""Speed and memory, measured: `python -m bench --help`. Figures and what they mean: docs/performance.md."""
