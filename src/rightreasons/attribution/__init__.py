"""Attribution methods: frozen values called with the model."""

from rightreasons.attribution._attribution import Advice, Attribution, Axioms, Evaluations, Explanation
from rightreasons.attribution._blur import BlurIG
from rightreasons.attribution._controls import ConstantMap, EdgeMap, RandomMap
from rightreasons.attribution._deeplift import DeepLift
from rightreasons.attribution._expected import ExpectedGradients, reference_output
from rightreasons.attribution._fusiongrad import FusionGrad
from rightreasons.attribution._gradcam import GradCAM
from rightreasons.attribution._gradcam_plus_plus import GradCAMPlusPlus
from rightreasons.attribution._gradient import Gradient, InputTimesGradient
from rightreasons.attribution._guided import Deconvnet, GuidedBackprop
from rightreasons.attribution._guided_gradcam import GuidedGradCAM
from rightreasons.attribution._guided_ig import GuidedIG
from rightreasons.attribution._homogenize import homogenize
from rightreasons.attribution._integrated import IntegratedGradients
from rightreasons.attribution._lrp import LRP
from rightreasons.attribution._noisegrad import NoiseGrad
from rightreasons.attribution._path import PathAttribution
from rightreasons.attribution._smoothgrad import SmoothGrad
from rightreasons.attribution._xgradcam import XGradCAM
from rightreasons.attribution._xgradient import XGradient
from rightreasons.core._estimators import Complete, ControlVariate, Estimator, Independent, Stratified
from rightreasons.core._keywords import PerRow, Shared
from rightreasons.core._kriging import Kriging
from rightreasons.core._paths import GaussLegendre, Left, Midpoint, Quadrature, Right, Trapezoid
from rightreasons.core._rules import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZBox, ZPlus

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
    "reference_output",
]
