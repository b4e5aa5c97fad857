"""Attribution methods: frozen values called with the model."""

from rightreasons.attribution._attribution import Advice, Attribution, Axioms, Evaluations, Explanation
from rightreasons.attribution._controls import ConstantMap, EdgeMap, RandomMap
from rightreasons.attribution._guided import Deconvnet, GuidedBackprop
from rightreasons.attribution._homogenize import homogenize
from rightreasons.attribution._methods import methods
from rightreasons.attribution.cam._gradcam import GradCAM
from rightreasons.attribution.cam._gradcam_plus_plus import GradCAMPlusPlus
from rightreasons.attribution.cam._guided_gradcam import GuidedGradCAM
from rightreasons.attribution.cam._xgradcam import XGradCAM
from rightreasons.attribution.deeplift._deeplift import DeepLift
from rightreasons.attribution.lrp._lrp import LRP
from rightreasons.attribution.lrp._rules import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZBox, ZPlus
from rightreasons.attribution.noise._fusiongrad import FusionGrad
from rightreasons.attribution.noise._noisegrad import NoiseGrad
from rightreasons.attribution.noise._smoothgrad import SmoothGrad
from rightreasons.attribution.path._blur import BlurIG
from rightreasons.attribution.path._estimators import (
    Complete,
    ControlVariate,
    Estimator,
    Independent,
    Stratified,
)
from rightreasons.attribution.path._expected import ExpectedGradients, reference_output
from rightreasons.attribution.path._gradient import Gradient, InputTimesGradient
from rightreasons.attribution.path._guided_ig import GuidedIG
from rightreasons.attribution.path._integrated import IntegratedGradients
from rightreasons.attribution.path._kriging import Kriging
from rightreasons.attribution.path._path import PathAttribution
from rightreasons.attribution.path._quadrature import (
    GaussLegendre,
    Left,
    Midpoint,
    Quadrature,
    Right,
    Trapezoid,
)
from rightreasons.attribution.path._xgradient import XGradient
from rightreasons.core.model._keywords import PerRow, Shared

__all__ = [
    "LRP",
    "Advice",
    "AlphaBeta",
    "Attribution",
    "Axioms",
    "BlurIG",
    "Complete",
    "ConstantMap",
    "ControlVariate",
    "Deconvnet",
    "DeepLift",
    "EdgeMap",
    "Epsilon",
    "Estimator",
    "Evaluations",
    "ExpectedGradients",
    "Explanation",
    "Flat",
    "FusionGrad",
    "Gamma",
    "GaussLegendre",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedBackprop",
    "GuidedGradCAM",
    "GuidedIG",
    "Independent",
    "InputTimesGradient",
    "IntegratedGradients",
    "Kriging",
    "Left",
    "Midpoint",
    "NoiseGrad",
    "PathAttribution",
    "PerRow",
    "Quadrature",
    "RandomMap",
    "Right",
    "Rule",
    "Shared",
    "SmoothGrad",
    "Stratified",
    "Trapezoid",
    "XGradCAM",
    "XGradient",
    "ZBox",
    "ZPlus",
    "homogenize",
    "methods",
    "reference_output",
]
