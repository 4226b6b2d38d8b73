"""The names of the months, as mail in several languages has them."""

_NAMES = (
    "january jan januar jänner janvier janv enero ene januari gennaio janeiro stycznia styczeń ledna"
    " tammikuuta января ocak",
    "february feb februar feber février fevrier févr fevr febrero febr februari febbraio fevereiro lutego luty února"
    " helmikuuta февраля şubat",
    "march mar märz mrz maerz mars marzo maart março marts marca marzec března maaliskuuta марта mart",
    "april apr avril avr abril abr aprile kwietnia kwiecień dubna huhtikuuta апреля nisan",
    "may mai mayo mei maggio maio maj maja května toukokuuta мая mayıs",
    "june jun juni juin junio giugno junho czerwca czerwiec června kesäkuuta июня haziran",
    "july jul juli juillet juil julio luglio julho lipca lipiec července heinäkuuta июля temmuz",
    "august aug août aout agosto ago augustus augusti sierpnia sierpień srpna elokuuta августа ağustos",
    "september sept sep septembre septiembre setiembre settembre setembro września wrzesień září"
    " syyskuuta сентября eylül",
    "october oct oktober okt octobre octubre ottobre outubro października październik října lokakuuta октября ekim",
    "november nov novembre noviembre novembro listopada listopadu marraskuuta ноября kasım",
    "december dec dezember dez décembre decembre déc diciembre dic dicembre dezembro desember grudnia grudzień prosince"
    " joulukuuta декабря aralık",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
