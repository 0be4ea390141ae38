"""Chapter 9's recall at the authors' sizes: 4, 8 and 16 pairs over 64, 128 and 256 of 8,192 tokens, asked of sLSTM,
mLSTM, a layer of each, Mamba and a transformer.

``python -m benchmarks.mqar_runs --out benchmarks/results/mqar_runs_DEVICE.json``

Sequences are those of `seqlab.tasks.zoology_recall`. Widths 64 and 128 (``--width``) are two of the authors', and there
are two learning rates, as they take the best of several. What is scaled down: their models read 64 epochs of 100,000
examples, ours the ``examples`` that a row records beside theirs, all of them fresh; they test on 3,000 sequences, a
task of ours on fewer. Shorter sequences leave room for more of them in a step: ``--only "64 4 *" --batch-size 256`` and
``--only "128 8 *" --batch-size 128`` read as many tokens as 64 sequences of 256. Two blocks each; the readout is tied
to the embedding, as the authors' is, and knows the values alone. The recipe is that of `seqlab.training.train`. The
record is rewritten after every row, so that what was measured stays where time runs out.
"""

from typing import Any

from torch import nn

from benchmarks.training_runs import arguments_of_runs, record_rows, rows_asked_for, run_of
from benchmarks.xlstm_runs import model_of
from seqlab.tasks import zoology_recall

VOCABULARY = 8192
AUTHORS_EXAMPLES = 64 * 100_000
SIZES = ((64, 4), (128, 8), (256, 16))  # tokens and pairs
LAYERS = ("mLSTM", "sLSTM", "mLSTM, sLSTM", "Mamba", "transformer")
RATES = (4e-3, 1e-2)
ROWS = [(length, pairs, layer, lr) for lr in RATES for length, pairs in SIZES for layer in LAYERS]


def main() -> None:
    arguments = arguments_of_runs(__doc__, steps=2000, width=64, batch_size=64, rows=len(ROWS))

    def run(length: int, pairs: int, layer: str, lr: float) -> dict[str, Any]:
        task = zoology_recall(pairs, length, VOCABULARY)

        def make() -> nn.Module:
            return model_of(layer, task, arguments.width)

        row = run_of(arguments, task, make, lr, layer=layer)
        sizes = {"pairs": pairs, "length": length, "vocabulary": VOCABULARY, "width": arguments.width}
        examples = {
            "examples": arguments.steps * arguments.batch_size,
            "authors_examples": AUTHORS_EXAMPLES,
        }
        return {**row, **sizes, **examples, "lr": lr, "batch_size": arguments.batch_size}

    record_rows(arguments, (run(*row) for row in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
