"""How the staff's pages write times; see django/conf/locale/en/formats.py for the names."""

DATETIME_FORMAT = "Y-m-d H:i e"  # e is the zone
