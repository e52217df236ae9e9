"""Search of hyper-parameters on Ray Tune."""

from recbole_intent.utils.callables import make_callable

make_callable(__name__, f"{__name__}.ask:tune")
