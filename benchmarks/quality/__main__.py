"""Run ``python -m benchmarks.quality``; see quality.py."""

from benchmarks.quality.quality import main

if __name__ == "__main__":
    raise SystemExit(main())
