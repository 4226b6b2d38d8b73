"""The names of the months, as mail in several languages has them."""

_NAMES = (
    "january jan januar jänner janvier janv enero ene januari gennaio",
    "february feb februar feber février fevrier févr fevr febrero febr februari febbraio",
    "march mar märz mrz maerz mars marzo maart",
    "april apr avril avr abril abr aprile",
    "may mai mayo mei maggio",
    "june jun juni juin junio giugno",
    "july jul juli juillet juil julio luglio",
    "august aug août aout agosto ago augustus",
    "september sept sep septembre septiembre setiembre settembre",
    "october oct oktober okt octobre octubre ottobre",
    "november nov novembre noviembre",
    "december dec dezember dez décembre decembre déc diciembre dic dicembre",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
