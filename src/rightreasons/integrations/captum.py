"""Our methods behind captum's interface, and captum's algorithms behind ours [kokhlikyan2020]."""

from rightreasons.core._errors import MissingExtraError

try:
    import captum.attr as _  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "rightreasons.integrations.captum needs captum: pip install 'rightreasons[captum]'."
    ) from error

from rightreasons.integrations._as_captum import Algorithm, as_captum
from rightreasons.integrations._from_captum import FromCaptum, from_captum

__all__ = ["Algorithm", "FromCaptum", "as_captum", "from_captum"]
