"""ICSRec's training loop, which adds a sequence with the same target to each one."""

from torch import Tensor

from recbole_intent.data.loading.same_target import SameTarget
from recbole_intent.data.loading.sequences import SAMPLE_FIELD
from recbole_intent.models.icsrec.model import SIBLING, SIBLING_LENGTH
from recbole_intent.trainer.clustering import ClusteringTrainer, epoch_generator

_SIBLINGS = 2  # purpose of a generator


class ICSRecTrainer(ClusteringTrainer):
    """Draws, for each target of a batch, the history of another training sample with that target.

    Siblings are drawn from the whole training split; a sample whose target no other one has is its
    own sibling.
    """

    def before_epoch(self, epoch: int, train_data) -> None:
        """As `ClusteringTrainer.before_epoch`; prepares the draw of siblings."""
        super().before_epoch(epoch, train_data)
        if self.model.coarse_weight or self.model.fine_weight:
            train_data.numbered = True
            self._dataset = train_data._dataset
            targets = self._dataset.inter_feat[self._dataset.iid_field].numpy()
            self._siblings = SameTarget(targets)
            self._draws = epoch_generator(self.config, epoch, _SIBLINGS)

    def losses(self, interaction) -> tuple[Tensor, ...]:
        """As `Trainer.losses`, with a sibling for each target."""
        if SAMPLE_FIELD in interaction:
            samples = interaction[SAMPLE_FIELD]
            if samples.dim() == 2:
                samples = samples[interaction[self.model.POS_ITEM_ID] > 0]
            siblings = self._siblings.draw(samples.cpu().numpy(), self._draws)
            width = None if self.config.spec.trim else self._dataset.max_item_list_len
            rows = self._dataset.rows(siblings, width).to(self.device)
            columns = {SIBLING: self.model.ITEM_SEQ, SIBLING_LENGTH: self.model.ITEM_SEQ_LEN}
            # Not `update`: their number differs from that of a shared batch's rows.
            for name, source in columns.items():
                interaction.interaction[name] = rows[source]
        return super().losses(interaction)
