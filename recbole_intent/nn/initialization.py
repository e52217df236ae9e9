"""Initial weights as in RecBole's Transformer models."""

from torch import nn


def init_normal(model: nn.Module, std: float) -> None:
    """Draw linear and embedding weights from N(0, `std`²), and set the biases of linears to 0."""

    def one(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    model.apply(one)
