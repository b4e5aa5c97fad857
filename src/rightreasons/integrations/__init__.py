"""Adapters to other libraries, each in a module of its own: `captum`, `quantus`.

from rightreasons.integrations.captum import as_captum, from_captum
from rightreasons.integrations.quantus import explain_func
"""

__all__: list[str] = []
