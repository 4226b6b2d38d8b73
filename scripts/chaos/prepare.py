"""`python -m scripts.chaos.prepare`: makes a new installation ready, in one process, since Django starts slowly.

Prints what is to be set in the environment, then the new client as JSON.
"""

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("agentmail_setup", username="orders")
    call_command("create_client", "Acme", "--json")


if __name__ == "__main__":
    main()
