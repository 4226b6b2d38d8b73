"""`make chaos`: kills, outages and skewed clocks under load, and which of the service's promises held meanwhile.

`python -m scripts.chaos --seed N` repeats the schedule of faults of an earlier run. See docs/operations.md.
"""
