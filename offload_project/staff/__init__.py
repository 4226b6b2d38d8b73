"""The people who work with the service: what they may do, and how they prove who they are."""
