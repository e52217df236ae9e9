"""RecBole's own models, those that it computes wrongly corrected."""

from recbole_intent.config.registry import ModelSpec

_SEQUENTIAL = "recbole.model.sequential_recommender"
_GENERAL = "recbole.model.general_recommender"

# RecBole's other models with a plain training loop, by module.
_MODELS = {
    _SEQUENTIAL: (
        "Caser CORE FDSA FOSSIL FPMC GCSAN GRU4RecF HGN HRM LightSANs NARM NextItNet NPE "
        "RepeatNet SASRecF SHAN SINE SRGNN STAMP TransRec"
    ),
    _GENERAL: (
        "BPR ConvNCF DGCF DMF EASE FISM GCMC ItemKNN LINE MultiDAE MultiVAE NAIS NGCF "
        "NNCF NeuMF Pop Random SGL SLIMElastic SimpleX SpectralCF"
    ),
}
# Those that RecBole computes wrongly: our subclasses correct them, one module per model.
_CORRECTED = frozenset("CORE FISM HGN Pop Random SHAN".split())
# Those that do not depend on padding: they mask it, or read only the last items. STAMP, SHAN, NPE
# and others sum over the padding vector too, or need a fixed width.
_TRIM = frozenset("CORE FDSA FPMC GCSAN GRU4RecF HRM NARM SASRecF SRGNN TransRec".split())
# Those whose losses are means over rows. Excluded: norms of the batch's vectors (LightGCN, NGCF,
# DGCF, SGL, SimpleX …), means over masked items (BERT4Rec), samples of whole batches (MultiVAE).
_SPLITS = frozenset(
    "BPR CORE Caser DMF FDSA FISM FPMC GCMC GCSAN GRU4RecF HRM LightSANs MultiDAE NAIS NARM NNCF "
    "NPE NeuMF NextItNet RepeatNet SASRecF SINE SRGNN STAMP".split()
)
# Those that read columns of items (`selected_features`).
_FEATURES = frozenset("FDSA GRU4RecF SASRecF".split())
# RecBole's models that cannot be trained here, by reason.
_REFUSED = {
    name: reason
    for reason, names in {
        "has a training loop of its own": "RaCT RecVAE S3Rec",
        "has a dataset of its own": "DIEN FEARec GRU4RecKG KSR",
        "predicts clicks, not items": "DIN",
        "is a context-aware model: it predicts ratings or clicks, not items": (
            "AFM AutoInt DCN DCNV2 DSSM DeepFM EulerNet FFM FM FNN FiGNN FwFM KD_DAGFM LR NFM PNN "
            "WideDeep xDeepFM"
        ),
        "is a knowledge-aware model: it has a training loop and a dataset of its own": (
            "CFKG CKE KGAT KGCN KGIN KGNNLS KTUP MCCLK MKR RippleNet"
        ),
        "is a forest of decision trees: it predicts ratings or clicks, not items": (
            "LightGBM XGBoost"
        ),
    }.items()
    for name in names.split()
}
# The others, which have not been compared with RecBole's own runs.
_UNTESTED = {
    _SEQUENTIAL: "GRU4RecCPR SASRecCPR",
    _GENERAL: "ADMMSLIM AsymKNN CDAE DiffRec ENMF LDiffRec MacridVAE NCEPLRec",
}


def _spec(package: str, name: str) -> ModelSpec:
    theirs = f"{package}.{name.lower()}:{name}"
    corrected = name in _CORRECTED
    family = "sequential" if package == _SEQUENTIAL else "general"
    return ModelSpec(
        name,
        f"{__name__}.{name.lower()}:{name}" if corrected else theirs,
        trim=name in _TRIM,
        splits=name in _SPLITS,
        reference=theirs if corrected else None,
        corrected=corrected,
        keys="recbole_intent.config.recbole_keys",
        title="RecBole",
        url=f"https://recbole.io/docs/user_guide/model/{family}/{name.lower()}.html",
        family=family,
        needs="columns of items" if name in _FEATURES else "",
    )


SPECS = (
    *(_spec(package, name) for package, names in _MODELS.items() for name in names.split()),
    *(ModelSpec(name, "", refused=reason) for name, reason in _REFUSED.items()),
    *(
        ModelSpec(name, f"{package}.{name.lower()}:{name}", untested=True)
        for package, names in _UNTESTED.items()
        for name in names.split()
    ),
)
