"""The names of the months, as mail in several languages has them."""

_NAMES = (
    "january jan januar jänner janvier janv enero ene januari gennaio janeiro stycznia styczeń",
    "february feb februar feber février fevrier févr fevr febrero febr februari febbraio fevereiro lutego luty",
    "march mar märz mrz maerz mars marzo maart março marca marzec",
    "april apr avril avr abril abr aprile kwietnia kwiecień",
    "may mai mayo mei maggio maio maja maj",
    "june jun juni juin junio giugno junho czerwca czerwiec",
    "july jul juli juillet juil julio luglio julho lipca lipiec",
    "august aug août aout agosto ago augustus sierpnia sierpień",
    "september sept sep septembre septiembre setiembre settembre setembro września wrzesień",
    "october oct oktober okt octobre octubre ottobre outubro out października październik",
    "november nov novembre noviembre novembro listopada listopad",
    "december dec dezember dez décembre decembre déc diciembre dic dicembre dezembro grudnia grudzień",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
