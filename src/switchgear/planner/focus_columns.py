"""The columns of FOCUS 1.2 (FinOps Open Cost and Usage Specification, finops.org) that the export writes.

Presence and nullability follow the specification's requirements model 1.2 (rules CostAndUsage-D-003 to D-068: 21 columns must be
there; ChargeFrequency, InvoiceId and ServiceSubcategory are recommended), allowed values its column pages.
"""

from enum import StrEnum
from typing import Final

import msgspec

VERSION: Final = "1.2"


class Level(StrEnum):
    """Whether a column must be there."""

    MANDATORY = "mandatory"
    RECOMMENDED = "recommended"
    CONDITIONAL = "conditional"


class Type(StrEnum):
    """What a cell holds. In CSV a null is an empty cell."""

    STRING = "string"
    DECIMAL = "decimal"
    DATE_TIME = "datetime"
    JSON = "json"


class Column(msgspec.Struct, frozen=True):
    """One column."""

    name: str
    level: Level
    type: Type
    nullable: bool = False
    allowed: tuple[str, ...] = ()


CHARGE_CATEGORIES: Final = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
SERVICE_CATEGORIES: Final = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)
SUBCATEGORIES: Final = {
    "Generative AI": "AI and Machine Learning",
    "Other (Compute)": "Compute",
    "Data Transfer": "Networking",
    "Network Management": "Networking",
    "Administration": "Management and Governance",
    "Support": "Management and Governance",
    "Other (Management and Governance)": "Management and Governance",
    "Other (Migration)": "Migration",
    "Other (Other)": "Other",
}
"""Those that the export uses, each with its only parent."""

_M, _R, _C = Level.MANDATORY, Level.RECOMMENDED, Level.CONDITIONAL
_S, _D, _T = Type.STRING, Type.DECIMAL, Type.DATE_TIME

COLUMNS: Final = (
    Column("BilledCost", _M, _D),
    Column("BillingAccountId", _M, _S),
    Column("BillingAccountName", _M, _S, nullable=True),
    Column("BillingCurrency", _M, _S),
    Column("BillingPeriodEnd", _M, _T),
    Column("BillingPeriodStart", _M, _T),
    Column("ChargeCategory", _M, _S, allowed=CHARGE_CATEGORIES),
    Column("ChargeClass", _M, _S, nullable=True, allowed=("Correction",)),
    Column("ChargeDescription", _M, _S, nullable=True),
    Column("ChargeFrequency", _R, _S, allowed=("One-Time", "Recurring", "Usage-Based")),
    Column("ChargePeriodEnd", _M, _T),
    Column("ChargePeriodStart", _M, _T),
    Column("ConsumedQuantity", _C, _D, nullable=True),
    Column("ConsumedUnit", _C, _S, nullable=True),
    Column("ContractedCost", _M, _D),
    Column("ContractedUnitPrice", _C, _D, nullable=True),
    Column("EffectiveCost", _M, _D),
    Column("InvoiceId", _R, _S, nullable=True),
    Column("InvoiceIssuerName", _M, _S),
    Column("ListCost", _M, _D),
    Column("ListUnitPrice", _C, _D, nullable=True),
    Column("PricingCategory", _C, _S, nullable=True, allowed=("Standard", "Dynamic", "Committed", "Other")),
    Column("PricingQuantity", _M, _D, nullable=True),
    Column("PricingUnit", _M, _S, nullable=True),
    Column("ProviderName", _M, _S),
    Column("PublisherName", _M, _S),
    Column("ResourceId", _C, _S, nullable=True),
    Column("ResourceName", _C, _S, nullable=True),
    Column("ServiceCategory", _M, _S, allowed=SERVICE_CATEGORIES),
    Column("ServiceName", _M, _S),
    Column("ServiceSubcategory", _R, _S, allowed=tuple(SUBCATEGORIES)),
    Column("SkuId", _C, _S, nullable=True),
    Column("SkuMeter", _C, _S, nullable=True),
    Column("SkuPriceId", _C, _S, nullable=True),
    Column("Tags", _C, Type.JSON, nullable=True),
    Column("x_CostKind", _C, _S),
    Column("x_Option", _C, _S),
    Column("x_Place", _C, _S, nullable=True),
    Column("x_PlanEntry", _C, _S),
)
"""In the order of the file: those of FOCUS by name, then our own (`x_`), as its column handling wants."""
