"""torch.nn.functional: what a user calls. The modules beside this one hold it by chapter."""

from reference_impl.nn.activations import *
from reference_impl.nn.attention import *
from reference_impl.nn.layers import *
from reference_impl.nn.losses import *
from reference_impl.nn.pooling import *
from reference_impl.nn.tables import *
from reference_impl.nn.vision import *
