"""Stand-ins for services of others: real HTTP, the real protocol, and the failures of both."""
