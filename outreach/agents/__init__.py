"""Who writes and judges: see base.py."""
