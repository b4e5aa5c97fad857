"""Adapters to other libraries, each in a module of its own: `captum`, `quantus`, `sklearn`, `transformers`.

from rightreasons.integrations.captum import as_captum, from_captum
from rightreasons.integrations.quantus import explain_func
from rightreasons.integrations.sklearn import AttributionPriorClassifier
from rightreasons.integrations.transformers import explain_texts
"""

__all__: list[str] = []
