"""What this room counts: mails that are handed over, and requests to models. See cases/metrics.py."""

from cases.metrics import Counter, Histogram

SENDS = Histogram("offload_send_seconds", "Mails handed to a transport and what it answered", ("transport", "outcome"))
MODEL_CALLS = Histogram(
    "offload_model_call_seconds", "Requests to a model and whether the answer could be used", ("purpose", "outcome")
)
MODEL_TOKENS = Counter("offload_model_tokens_total", "Tokens that models read and wrote", ("purpose", "direction"))
MODEL_COST = Counter(
    "offload_model_cost_total", "Cost of models by OFFLOAD_MODEL_PRICES, in its currency", ("purpose",)
)
