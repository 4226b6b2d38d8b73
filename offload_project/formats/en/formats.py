"""How the staff's pages write times; see django/conf/locale/en/formats.py for the names."""

from django.utils.functional import lazy


def _of_the_reader() -> str:
    from cases.moments import style  # Django reads this file before it has loaded the models

    return style()


DATETIME_FORMAT = lazy(_of_the_reader, str)()  # anew for each page: it depends on who reads it
