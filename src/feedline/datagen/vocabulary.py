"""What the custody world is made of: places, currencies, industries, brokers; issuers and funds are invented."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class MarketPlace:
    """A country's market: where its securities are listed, settled and kept. Opening and closing hours are UTC."""

    country: str
    currency: str
    mic: str
    exchange: str
    depository: str
    depository_bic: str
    agent: str
    agent_bic: str
    statutory_rate: Decimal
    treaty_rate: Decimal
    opens: int
    closes: int
    utc_offset: int
    legal_form: str
    is_emerging: bool = False


def _place(*columns: str) -> MarketPlace:
    """A row of the table below; names are followed by their BIC, taxes and hours are joined by slashes."""
    country, currency, mic, exchange, depository, agent, tax, hours, form = columns
    depository_name, depository_bic = depository.rsplit(" ", 1)
    agent_name, agent_bic = agent.rsplit(" ", 1)
    statutory, treaty = tax.split("/")
    opens, closes, offset = hours.split("/")
    return MarketPlace(
        country, currency, mic, exchange, depository_name, depository_bic, agent_name, agent_bic,
        Decimal(statutory), Decimal(treaty), int(opens), int(closes), int(offset), form, country in ("BR", "ZA", "KR"),
    )  # fmt: skip


# ISO 10383 codes and depositories are the real ones; agents are invented banks.
MARKET_PLACES = (
    _place("US", "USD", "XNYS", "New York Stock Exchange", "Depository Trust Company DTCYUS33XXX",
           "Hudson Harbor Trust Company HHTCUS33XXX", "30.00000000/15.00000000", "14/21/-5", "Inc."),
    _place("US", "USD", "XNAS", "Nasdaq Global Select Market", "Depository Trust Company DTCYUS33XXX",
           "Hudson Harbor Trust Company HHTCUS33XXX", "30.00000000/15.00000000", "14/21/-5", "Corporation"),
    _place("GB", "GBP", "XLON", "London Stock Exchange", "Euroclear UK and International CRSTGB22XXX",
           "Thames and Severn Bank plc THSVGB2LXXX", "20.00000000/10.00000000", "8/16/0", "plc"),
    _place("DE", "EUR", "XETR", "Deutsche Boerse Xetra", "Clearstream Banking Frankfurt DAKVDEFFXXX",
           "Elbe Depotbank AG ELBDDEFFXXX", "26.37500000/15.00000000", "8/16/1", "AG"),
    _place("FR", "EUR", "XPAR", "Euronext Paris", "Euroclear France SICVFRPPXXX",
           "Banque de Garonne SA BGARFRPPXXX", "25.00000000/12.80000000", "8/16/1", "SA"),
    _place("NL", "EUR", "XAMS", "Euronext Amsterdam", "Euroclear Nederland NECINL2AXXX",
           "Amstel Effectenbank NV AMEFNL2AXXX", "15.00000000/15.00000000", "8/16/1", "NV"),
    _place("CH", "CHF", "XSWX", "SIX Swiss Exchange", "SIX SIS AG INSECHZZXXX",
           "Limmat Verwahrbank AG LIMVCHZZXXX", "35.00000000/15.00000000", "8/16/1", "AG"),
    _place("SE", "SEK", "XSTO", "Nasdaq Stockholm", "Euroclear Sweden VPCSSESSXXX",
           "Malaren Bank AB MLRBSESSXXX", "30.00000000/15.00000000", "8/16/1", "AB"),
    _place("JP", "JPY", "XTKS", "Tokyo Stock Exchange", "Japan Securities Depository Center JJSDJPJTXXX",
           "Sumida Custody Bank Ltd SMDCJPJTXXX", "20.42000000/15.31500000", "0/6/9", "K.K."),
    _place("HK", "HKD", "XHKG", "Hong Kong Exchanges", "Central Clearing and Settlement System XHKCHKH1XXX",
           "Victoria Peak Nominees Limited VPNLHKHHXXX", "0.00000000/0.00000000", "2/8/8", "Limited"),
    _place("AU", "AUD", "XASX", "Australian Securities Exchange", "ASX Settlement CAETAU21XXX",
           "Southern Cross Custodians Limited SCCLAU2SXXX", "30.00000000/15.00000000", "0/6/10", "Limited"),
    _place("CA", "CAD", "XTSE", "Toronto Stock Exchange", "Canadian Depository for Securities CDSLCATTXXX",
           "Ottawa River Trust Company ORTCCATTXXX", "25.00000000/15.00000000", "14/21/-5", "Ltd."),
    _place("BR", "BRL", "BVMF", "B3 Brasil Bolsa Balcao", "B3 Central Depository BVMFBRSPXXX",
           "Banco Custodiante Paulista SA BCPABRSPXXX", "15.00000000/15.00000000", "13/20/-3", "SA"),
)  # fmt: skip

# US dollars for one unit, about which the days' fixings move.
USD_VALUES = {
    "USD": 1.0,
    "EUR": 1.0842,
    "GBP": 1.2725,
    "CHF": 1.1318,
    "SEK": 0.0948,
    "JPY": 0.006731,
    "HKD": 0.12803,
    "AUD": 0.6585,
    "CAD": 0.7364,
    "BRL": 0.2012,
}

# GICS: sector, its name, industry, sub-industry, its name.
INDUSTRIES = (
    ("10", "Energy", "101020", "10102010", "Integrated Oil and Gas"),
    ("15", "Materials", "151010", "15101050", "Specialty Chemicals"),
    ("15", "Materials", "151040", "15104030", "Gold"),
    ("20", "Industrials", "201010", "20101010", "Aerospace and Defense"),
    ("20", "Industrials", "201060", "20106020", "Industrial Machinery and Supplies and Components"),
    ("20", "Industrials", "203020", "20302010", "Passenger Airlines"),
    ("25", "Consumer Discretionary", "252030", "25203010", "Apparel, Accessories and Luxury Goods"),
    ("25", "Consumer Discretionary", "251020", "25102010", "Automobile Manufacturers"),
    ("30", "Consumer Staples", "302020", "30202030", "Packaged Foods and Meats"),
    ("35", "Health Care", "351010", "35101010", "Health Care Equipment"),
    ("35", "Health Care", "352020", "35202010", "Pharmaceuticals"),
    ("40", "Financials", "401010", "40101010", "Diversified Banks"),
    ("40", "Financials", "403010", "40301040", "Property and Casualty Insurance"),
    ("45", "Information Technology", "451030", "45103020", "Systems Software"),
    ("45", "Information Technology", "453010", "45301020", "Semiconductors"),
    ("50", "Communication Services", "501010", "50101020", "Integrated Telecommunication Services"),
    ("55", "Utilities", "551010", "55101010", "Electric Utilities"),
    ("60", "Real Estate", "601040", "60104010", "Office REITs"),
)

ISSUER_FIRST = (
    "Aldermont", "Brackwater", "Calverley", "Dunmore", "Eastvale", "Farrowdale", "Glenhaven", "Hartwell", "Inverleith",
    "Jarrow", "Kestrel Bay", "Lindenhof", "Marchmont", "Northgate", "Oakhurst", "Pendleton", "Quayside", "Rosedene",
    "Silverbrook", "Thornbury", "Ullswater", "Valemont", "Westbourne", "Yarrow Point", "Zennor", "Ashgrove",
    "Birchfield", "Corriedale", "Danesmoor", "Elmswood", "Fernleigh", "Greyfriars",
)  # fmt: skip
ISSUER_SECOND = (
    "Industrial Technologies", "Consolidated Holdings", "International Group", "Precision Systems", "Resources",
    "Capital Partners", "Life Sciences", "Energy Infrastructure", "Logistics", "Communications", "Financial Services",
    "Semiconductor Devices", "Foods", "Diagnostics", "Insurance Group", "Software", "Properties", "Transportation",
)  # fmt: skip

# Standard & Poor's, Moody's, Fitch, default probability of a year in percent.
RATINGS = (
    ("AAA", "Aaa", "AAA", "0.0100000000"),
    ("AA+", "Aa1", "AA+", "0.0200000000"),
    ("AA-", "Aa3", "AA-", "0.0300000000"),
    ("A", "A2", "A", "0.0500000000"),
    ("BBB+", "Baa1", "BBB+", "0.1200000000"),
    ("BBB-", "Baa3", "BBB-", "0.2800000000"),
    ("BB", "Ba2", "BB", "0.7200000000"),
    ("B+", "B1", "B+", "2.1500000000"),
)

BROKERS = (
    ("BRK0142", "Castlegate Securities LLC", "CSTGUS33XXX", "US"),
    ("BRK0177", "Merchant Quay Markets plc", "MQMKGB2LXXX", "GB"),
    ("BRK0203", "Rheinbogen Wertpapierhandel AG", "RBWHDEFFXXX", "DE"),
    ("BRK0219", "Pont Royal Intermediation SA", "PRINFRPPXXX", "FR"),
    ("BRK0288", "Kanda River Securities Co Ltd", "KNDRJPJTXXX", "JP"),
    ("BRK0304", "Lantau Brokerage Limited", "LNTBHKHHXXX", "HK"),
    ("BRK0341", "Prairie North Capital Markets Inc", "PNCMCATTXXX", "CA"),
    ("BRK0366", "Blue Gum Stockbroking Limited", "BGSTAU2SXXX", "AU"),
)
CLEARERS = (
    ("Atlantic Clearing Corporation", "ATCLUS33XXX"),
    ("Continental Clearing House SE", "CCHSDEFFXXX"),
    ("Pacific Rim Clearing Limited", "PRCLHKHHXXX"),
)
PRICE_SOURCES = (
    "Bloomberg BVAL",
    "Refinitiv Evaluated Pricing",
    "ICE Data Pricing",
    "S&P Global Evaluations",
    "SIX Telekurs",
)
RATE_SOURCE = "WM/Refinitiv Closing Spot 16:00 London"

PEOPLE = (
    "A. Whitfield", "B. Okonkwo", "C. Lindqvist", "D. Marchetti", "E. Takahashi", "F. O'Sullivan", "G. Papadakis",
    "H. van der Meer", "I. Castellanos", "J. Abernathy", "K. Nakamura", "L. Bergstrom", "M. Fitzgerald", "N. Ramaswamy",
)  # fmt: skip

FUND_FIRST = (
    "Meridian",
    "Harbourline",
    "Cedar Point",
    "Stonebridge",
    "Polaris",
    "Riverstone",
    "Summit Ridge",
    "Fairhaven",
)
FUND_STRATEGIES = (
    # strategy, part of it, benchmark, its name
    ("Global Equity", "Quality Growth", "GEQ-NTR-USD", "World Large and Mid Cap Net Total Return Index"),
    ("US Large Cap Core", "Blend", "USLC-TR", "US Large Cap 500 Total Return Index"),
    ("European Income", "Dividend", "EUDIV-NTR", "Europe High Dividend Net Return Index"),
    ("Multi-Asset Balanced", "60/40", "MA6040-TR", "Composite 60 percent Equity 40 percent Aggregate Bond"),
    ("Core Plus Bond", "Investment Grade", "GAGG-TR-H", "Global Aggregate Bond Total Return Index Hedged"),
    ("Asia Pacific Opportunities", "All Cap", "APAC-NTR", "Asia Pacific All Country Net Return Index"),
    ("Short Duration Credit", "Crossover", "SDC-1-3Y", "Corporate 1 to 3 Years Index"),
)
MANAGERS = ("Larchmont Asset Management LLP", "Tidewater Investment Advisors LLC", "Grünwald Kapitalanlage GmbH")
