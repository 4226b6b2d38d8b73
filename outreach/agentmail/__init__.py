"""AgentMail as a provider: its API, its webhooks, and what it holds that we have not heard of."""
