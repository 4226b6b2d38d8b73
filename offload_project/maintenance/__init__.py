"""What the operator's commands do: retention, export, erasure, stuck rows. Each command is a thin door to it."""
