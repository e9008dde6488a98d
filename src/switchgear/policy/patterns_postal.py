"""Where a person lives: addresses by the forms of their streets."""

from switchgear.core.screening import Detector
from switchgear.policy.patterns import Shape, any_of

_STREET = any_of(
    "Alley Avenue Ave Bayou Beach Bend Bluff Boulevard Blvd Branch Bridge Brook Burg Bypass Camp Canyon Cape Causeway "
    "Center Centers Circle Circles Cir Cliff Cliffs Close Club Common Corner Corners Course Court Courts Ct Cove "
    "Creek Crescent Crest Crossing Crossroad Curve Dale Dam Divide Drive Drives Dr Estate Estates Expressway "
    "Extension Fall Falls Ferry Field Fields Flat Flats Ford Forest Forge Fork Forks Fort Freeway Garden Gardens "
    "Gateway Glen Glens Green Greens Grove Groves Harbor Harbors Haven Heights Highway Hwy Hill Hills Hollow Inlet "
    "Island Islands Isle Junction Junctions Key Keys Knoll Knolls Lake Lakes Land Landing Lane Ln Light Lights Loaf "
    "Locks Lodge Loop Mall Manor Meadow Meadows Mews Mill Mills Mission Motorway Mount Mountain Mountains Neck "
    "Orchard Oval Overpass Park Parks Parkway Parkways Pkwy Pass Passage Path Pike Pine Pines Place Pl Plain Plains "
    "Plaza Point Points Port Ports Prairie Radial Ramp Ranch Rapid Rapids Rest Ridge Ridges River Road Roads Rd Route "
    "Row Rue Run Shoal Shoals Shore Shores Skyway Spring Springs Spur Spurs Square Squares Sq Station Stravenue "
    "Stream Street Streets St Summit Terrace Ter Throughway Trace Track Trafficway Trail Trailer Tunnel Turnpike "
    "Underpass Union Unions Valley Valleys Via Viaduct View Views Village Villages Ville Vista Walk Walks Wall Way "
    "Ways Well Wells Lock Locks Centre Centreway Chase Circuit Crossroads Esplanade Gate Grange Link Parade Pocket "
    "Quay Reserve Retreat Rise Strand Marg Nagar Chowk Ganj"
)
"""United States Postal Service, Publication 28, appendix C1, with the commonest abbreviations; what Australia, Britain and India add."""
_CITY = r"(?:,?[ \n]\d{4,5}(?:[ ][A-Z]{2})?[ ]§U§L{2,24})?"
"""A postal code and the place, where they follow."""
_NAME = r"§U[\w.'’\-\u0080-\U0010ffff]{1,30}"
_GERMANIC = (
    r"(?:stra(?:ß|ss)e|str\.|[wW]eg|[pP]latz|[aA]llee|gasse|[rR]ing|damm|ufer|straat|laan|plein|gracht|kade|singel|dijk"
    r"|dreef|pad|boulevard|steeg)"
)
_GERMANIC_APART = r"(?:Stra(?:ß|ss)e|Str\.|Weg|Platz|Allee|Ring|Ufer|Damm)"
_FRENCH = r"(?:rue|avenue|boulevard|chemin|place|impasse|allée|quai|cours|route)"
_ROMANCE = (
    r"(?:Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|Pasaje|Pasadizo|Ronda|Rambla|Glorieta|Camino|Cuesta|Acceso|Vial|Via|Viale|Piazza|Piazzale"
    r"|Corso|Largo|Vicolo|Strada|Borgo|Contrada|Rotonda|Incrocio|Canale|Stretto|Rua|Travessa|Alameda|Estrada|Ladeira|Praça|Esplanada|Jardim"
    r"|Viaduto|Residencial|ul\.|ulica|aleja|al\.|pl\.|plac)"
)
"""Spanish, Italian, Portuguese; Polish, which is built alike."""
_OF = r"(?:(?:de|del|du|des|della|delle|la|le|les|los|las|el|da|do|dos|d'|l'|d’|l’)[ ]?){0,2}"

POSTAL: tuple[Shape, ...] = (
    Shape(
        Detector.POSTAL_ADDRESS,
        r"\d{1,6}(?:/\d{1,5})?[A-Za-z]?[ ](?:(?:[NSEW]|[NS][EW]|North|South|East|West)\.?[ ])?"
        rf"(?:[A-Z][\w.'’\-]{{0,24}}[ ]|\d{{1,3}}(?:st|nd|rd|th)[ ]){{1,4}}{_STREET}\b\.?(?:[ ](?:[NSEW]|[NS][EW])\b)?"
        r"(?:,?[ ](?:Apt|Suite|Unit|Ste|Room|Floor|#)\.?[ ]?[\w\-]{1,6})?"
        r"(?:,?[ \n](?:[A-Z][\w.'’\-]{1,24},?[ ]){1,3}[A-Z]{2}[ ]\d{5}(?:-\d{4})?)?",
        candidate=rf"\d[A-Za-z]?[ ](?:[A-Z0-9][\w.'’\-]*[ ])+{_STREET}\b",
        before=150,
        after=140,
    ),
    Shape(
        Detector.POSTAL_ADDRESS,
        rf"§U§L{{1,24}}(?:[ \-]§U§L{{1,24}}){{0,2}}{_GERMANIC}[ ]\d{{1,4}}[ ]?[a-zA-Z]?{_CITY}",
        candidate=rf"{_GERMANIC}[ ]\d",
        after=60,
    ),
    Shape(
        Detector.POSTAL_ADDRESS,
        rf"§U[\w\u0080-\U0010ffff]{{0,24}}[ \-]{_GERMANIC_APART}[ ]\d{{1,4}}[ ]?[a-zA-Z]?{_CITY}",
        candidate=rf"{_GERMANIC_APART}[ ]\d",
        after=60,
    ),
    Shape(
        Detector.POSTAL_ADDRESS,
        rf"\d{{1,4}}(?:[ ](?:bis|ter))?,?[ ]{_FRENCH}[ ]{_OF}{_NAME}(?:[ \-]{_OF}{_NAME}){{0,3}}{_CITY}",
        candidate=rf"\d(?:[ ](?:bis|ter))?,?[ ]{_FRENCH}[ ]",
        after=200,
    ),
    Shape(
        Detector.POSTAL_ADDRESS,
        rf"{_ROMANCE}[ ]{_OF}{_NAME}(?:[ ]{_OF}{_NAME}){{0,4}}(?:[ ,]{{1,2}}\d{{1,4}}(?:/\d{{1,3}})?\b){_CITY}",
        r"(?<![A-Za-z])",
        candidate=rf"{_ROMANCE}[ ][^\n]*[ ,]\d",
        before=200,
        after=60,
    ),
)
