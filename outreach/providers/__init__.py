"""The services that steps call: models, and whoever takes our mail. All workers of all machines treat each the same.

A service that says that it is busy gets fewer calls, from everybody together; one that fails again and again gets none,
but for one call now and then that finds out whether it is back. What needs it waits meanwhile, and fails not for it.
The state is one row a service (models.Provider); no row, or one at rest, is a service that does well.

    names.py    what a service is called            rules.py  what a row allows, and what an answer changes in it
    trouble.py  what an answer says about a service  gate.py   the way in, for steps
"""
