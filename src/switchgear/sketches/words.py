"""Words that a sketch may hold, because everybody writes them: they tell a language, a form or a kind of data, and nobody's secret.

Everything else that is made of letters is replaced.
"""

_FUNCTION = {
    "en": "a an the and or but if then else of to in on at by for with from into about as is are was were be been being it its this that"
    " these those i you he she we they me him her us them my your his our their not no yes do does did have has had can could will would"
    " shall should may might must what which who whom when where why how there here than so too very also only just more most some any"
    " all each every both please because while after before between over under again s t d m ll re ve",
    "de": "der die das den dem des ein eine einen einem einer eines und oder aber wenn dann sonst von zu zum zur in im auf an am bei für"
    " mit aus über als wie ist sind war waren sein es dies diese dieser dieses ich du er sie wir ihr mich mir dich uns mein meine dein"
    " nicht kein keine ja nein hat haben hatte kann können wird werden würde soll muss was wer wann wo warum hier dort auch nur noch"
    " sehr mehr alle jeder bitte weil während nach vor zwischen unter wieder dass",
    "fr": "le la les un une des du de et ou mais si alors à au aux en dans sur par pour avec sans est sont était être il elle on nous vous"
    " ils elles je tu me te se mon ma mes ton ta tes son sa ses notre votre leur ce cet cette ces qui que quoi dont où quand comment"
    " pourquoi ne pas plus oui non a ai ont avait peut peuvent doit aussi très tout tous toute chaque parce pendant après avant entre",
    "es": "el la los las un una unos unas y o pero si entonces de del a al en sobre por para con sin es son era ser está están yo tú él"
    " ella nosotros ellos ellas me te se mi mis tu tus su sus nuestro este esta estos estas ese esa que quien cual cuando donde cómo"
    " como porque no sí más muy también hay ha han había puede pueden debe todo todos toda cada después antes entre",
    "it": "il lo la i gli le un uno una e o ma se allora di del della dei delle a al alla in nel nella su per con senza è sono era essere"
    " io tu lui lei noi voi loro mi ti si mio mia tuo tua suo sua questo questa questi quello quella che chi quando dove come perché"
    " non sì più molto anche ha hanno può possono deve tutto tutti ogni dopo prima tra fra",
    "nl": "de het een en of maar als dan van te tot in op aan bij voor met uit over is zijn was waren ik jij hij zij wij jullie mij hem"
    " haar ons mijn jouw dit dat deze die wie wat wanneer waar waarom hoe niet geen ja nee heeft hebben had kan kunnen zal worden wordt"
    " moet ook nog zeer meer alle elke omdat terwijl na tussen onder weer er",
    "pt": "o a os as um uma uns umas e ou mas se então de do da dos das em no na nos nas por para com sem é são era ser está eu tu ele"
    " ela nós eles elas me te meu minha seu sua este esta isso que quem quando onde como porque não sim mais muito também há tem têm"
    " pode podem deve todo todos cada depois antes entre",
    "pl": "i a o w z na do od po za przez dla przy bez jest są był była być to ten ta te tego ja ty on ona my wy oni mnie mój moja się"
    " nie tak co kto kiedy gdzie jak dlaczego czy że ale lub też tylko bardzo więcej każdy po przed między",
    "sv": "och eller men om så att det den en ett de som är var av till i på för med från över jag du han hon vi ni mig dig min din sin"
    " inte nej ja har hade kan ska skulle måste vad vem när hur varför här där också bara mycket mer alla varje efter före mellan",
    "tr": "ve veya ama eğer bir bu şu o ben sen biz siz onlar için ile gibi kadar değil var yok ne kim nasıl neden çok daha her sonra önce",
}
LANGUAGES: dict[str, frozenset[str]] = {code: frozenset(text.split()) for code, text in _FUNCTION.items()}
"""Function words of each language that is told by them, in lower case."""

_CONTEXT = (
    "address adresse dirección indirizzo phone telephone tel mobile cell fax telefon téléphone teléfono telefono email mail born birth"
    " birthday date dob geboren geburtsdatum naissance né née nacido nacida nacimiento nato nata nascita passport reisepass passnummer"
    " passeport pasaporte passaporto paspoort driver drivers driving license licence führerschein permis conduire patente rijbewijs card"
    " number iban account konto ssn social security insurance itin taxpayer tax sin nas cpf nhs nino steuer idnr id"
    " identifikationsnummer tin nir dni nie codice fiscale bsn burgerservicenummer rijksregisternummer niss insz pesel personnummer"
    " henkilötunnus ahv aadhaar uidai tfn file password passwd passwort kennwort secret token bearer basic authorization api key apikey"
    " access aws credentials auth client host ether call reach urodzony urodzona urodzenia nascido nascida nascimento geboortedatum"
    " begin end private public rsa ec dsa openssh encrypted pgp block gocspx aiza github pat proj svcacct admin live test glpat pypi npm"
    " akia asia abia acca accountkey sharedaccesskey sig xoxb xoxp xapp whsec hooks services workflows ant eyj pplx nvapi dapi dckr"
    " glsa shpat shpca shppa shpss true false null"
)
_STREETS = (
    "street st avenue ave road rd lane ln drive dr boulevard blvd court ct place pl square sq terrace way close crescent "
    "parkway highway apt suite unit straße strasse str weg platz allee gasse ring ufer damm straat laan plein gracht rue "
    "chemin impasse quai calle avenida plaza paseo via viale piazza corso rua travessa ulica aleja ul al north south east "
    "west marg nagar pasaje pasadizo ronda rambla glorieta camino cuesta acceso vial piazzale largo vicolo strada borgo "
    "contrada rotonda incrocio canale stretto alameda estrada ladeira praça esplanada jardim viaduto residencial plac bis "
    "ter pocket gate grange link parade quay reserve retreat rise strand chase circuit esplanade alley bayou beach bend "
    "bluff branch bridge brook burg bypass camp canyon cape causeway center centers circle circles cliff cliffs club common "
    "corner corners course courts cove creek crest crossing crossroad curve dale dam divide drives estate estates "
    "expressway extension fall falls ferry field fields flat flats ford forest forge fork forks fort freeway garden gardens "
    "gateway glen glens green greens grove groves harbor harbors haven heights hill hills hollow inlet island islands isle "
    "junction junctions keys knoll knolls lake lakes land landing light lights loaf locks lodge loop mall manor meadow "
    "meadows mews mill mills mission motorway mount mountain mountains neck orchard oval overpass park parks parkways pass "
    "passage path pike pine pines plain plains point points port ports prairie radial ramp ranch rapid rapids rest ridge "
    "ridges river roads route row run shoal shoals shore shores skyway spring springs spur spurs squares station stravenue "
    "stream streets summit throughway trace track trafficway trail trailer tunnel turnpike underpass union unions valley "
    "valleys viaduct view views village villages ville vista walk walks wall ways well wells lock centre"
)
MONTHS: tuple[tuple[str, ...], ...] = tuple(
    tuple(line.split())
    for line in (
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    )
)
"""Of each language, from January on: one may stand for another."""

STREETS = frozenset(_STREETS.split())
"""Words that make an address of a name; left as they are within an address only."""
STOP = frozenset(word for words in LANGUAGES.values() for word in words) | frozenset(_CONTEXT.split())
"""Every word that is left as it is wherever it stands, in lower case: function words, and those that say what kind of data follows."""
ALLOWED = STOP | STREETS | frozenset(month for year in MONTHS for month in year)
"""Every word that a sketch may have in common with its original."""

_COMMON = (
    "area base band bank bird blue boat body book bowl cake camp city clay coal coat corn crew dawn desk dish door dust edge farm"
    " field fish flag floor fruit glass grain grass green group hand harbor house island juice kitchen ladder lake leaf light line"
    " market meadow metal minute mirror morning mountain music needle night number object orange paper pencil people picture plane"
    " plant planet pocket point pottery price problem purpose quarter question rabbit railway record region report result river"
    " room season second section shadow shape shelter silver simple society spring square station stone story summer surface table"
    " teacher thing thought thunder ticket timber tool tower tractor traffic travel tree tunnel valley value vessel village voice"
    " wagon water weather weight window winter wonder workshop yellow agreement afternoon assembly beautiful beginning boundary"
    " building calendar carpenter character children collection committee community completely condition container conversation"
    " describe development difference different direction distance electricity equipment everything experience explanation furniture"
    " generation government important independent individual industry information instrument international knowledge laboratory"
    " language literature machinery manufacture material mechanical neighbour observation occasionally organisation particular"
    " performance permission philosophy photograph population position possibility preparation procedure production professional"
    " property provision publication quantity reasonable recognition recommendation relationship reservation responsibility sculpture"
    " significant situation something statement structure sufficient temperature territory throughout transformation transportation"
    " understanding university vegetable"
)
COMMON: dict[int, tuple[str, ...]] = {}
"""Common English words by length, to stand for others: a tokenizer takes them much as it took what they stand for."""
for _word in sorted(set(_COMMON.split()) - ALLOWED):
    COMMON[len(_word)] = (*COMMON.get(len(_word), ()), _word)
