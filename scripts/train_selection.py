"""Train the two tiny models of the selection explorer and write their weights.

.venv/bin/python scripts/train_selection.py    # about two minutes on one core

Streams are letters, blanks and questions: "1" asks for the latest letter, "2" for the one before it. Both models are
one layer of the same width. In one, the step, B and C are linear functions of the token (Mamba's Algorithm 2, with
zero-order hold); in the other they are constants, a set of its own for each channel. What follows is the same: a gate,
as in Mamba's block, and a linear readout.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu, softplus

TOKENS = "·abcd12"
LETTERS, LATEST, BEFORE = 4, 5, 6
WIDTH, STATES, LENGTH = 8, 4, 24
STEPS, BATCH, RATE, SEED = 3000, 64, 2e-2, 0
WEIGHTS = Path(__file__).parents[1] / "seqlab/explorers/selection/weights.mjs"


def draw(count: int, length: int, blanks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Streams (count, length), and at each question the index of the right letter, elsewhere -100."""
    shape = count, length
    letters = torch.randint(1, 1 + LETTERS, shape, generator=generator)
    questions = torch.randint(LATEST, BEFORE + 1, shape, generator=generator)
    tokens = torch.where(torch.rand(shape, generator=generator) < 0.55, letters, questions)
    tokens = tokens.masked_fill(torch.rand(shape, generator=generator) < blanks, 0)
    latest, before = torch.zeros(2, count, dtype=torch.long)
    answers = torch.full(shape, -100)
    for t in range(length):
        token = tokens[:, t]
        letter = (token >= 1) & (token <= LETTERS)
        before, latest = torch.where(letter, latest, before), torch.where(letter, token, latest)
        asked = torch.where(token == LATEST, latest, torch.where(token == BEFORE, before, 0))
        answers[:, t] = torch.where(asked > 0, asked - 1, -100)
    return tokens, answers


class Layer(nn.Module):
    """What both models share: tokens to inputs u, the recurrence h, a gate, and logits of the letters."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.7 * torch.randn(len(TOKENS), WIDTH))
        self.gate = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH**0.5)
        self.readout = nn.Parameter(torch.randn(WIDTH, LETTERS) / WIDTH**0.5)
        self.log_rates = nn.Parameter(torch.arange(1.0, 1 + STATES).log().expand(self.rates_shape).clone())

    rates_shape: tuple[int, ...] = (STATES,)

    def system(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step (..., 1), B (..., N) and C (..., N), each of a shape that (batch, length, D, N) includes."""
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        u = self.embedding[tokens]
        A = -self.log_rates.exp()
        step, B, C = self.system(u)
        kept = (step * A).exp()
        written = (kept - 1) / A * B * u[..., None]
        kept, C = kept.expand_as(written), C.expand_as(written)
        h, y = torch.zeros_like(written[:, 0]), []
        for t in range(tokens.shape[1]):
            h = kept[:, t] * h + written[:, t]
            y.append((C[:, t] * h).sum(-1))
        return (torch.stack(y, 1) * silu(u @ self.gate)) @ self.readout


class Selective(Layer):
    """Step, B and C depend on the token; one step for all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.to_B = nn.Parameter(torch.randn(WIDTH, STATES) / WIDTH**0.5)
        self.to_C = nn.Parameter(torch.randn(WIDTH, STATES) / WIDTH**0.5)
        self.to_step = nn.Parameter(torch.randn(WIDTH) / WIDTH**0.5)
        self.step_bias = nn.Parameter(torch.tensor(-1.0))

    def system(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        step = softplus(u @ self.to_step + self.step_bias)[..., None, None]
        return step, (u @ self.to_B)[..., None, :], (u @ self.to_C)[..., None, :]


class Invariant(Layer):
    """Step, B and C are constants, and each channel has its own; so has A."""

    rates_shape = (WIDTH, STATES)

    def __init__(self) -> None:
        super().__init__()
        self.B = nn.Parameter(torch.ones(WIDTH, STATES))
        self.C = nn.Parameter(torch.randn(WIDTH, STATES) / STATES**0.5)
        self.step_bias = nn.Parameter(torch.linspace(-5, 0.5, WIDTH))

    def system(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return softplus(self.step_bias)[:, None], self.B, self.C


def train(model: Layer) -> None:
    """Each stream has its own share of blanks, up to 0.9."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        blanks = 0.9 * torch.rand(BATCH, 1, generator=generator)
        tokens, answers = draw(BATCH, LENGTH, blanks, generator)
        loss = cross_entropy(model(tokens).flatten(0, 1), answers.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def right(model: Layer, blanks: float) -> list[float]:
    """The share of right answers to "1" and to "2", on 2,000 streams."""
    tokens, answers = draw(2000, LENGTH, torch.tensor(blanks), torch.Generator().manual_seed(SEED + 1))
    correct = model(tokens).argmax(-1) == answers
    return [
        round(correct[(tokens == kind) & (answers >= 0)].float().mean().item(), 3)
        for kind in (LATEST, BEFORE)
    ]


def main() -> None:
    torch.set_num_threads(1)
    weights = {"tokens": TOKENS, "trained_length": LENGTH}
    for name, kind in (("selective", Selective), ("invariant", Invariant)):
        torch.manual_seed(SEED)
        model = kind()
        train(model)
        numbers = {
            key: value.detach().double().round(decimals=4) for key, value in model.state_dict().items()
        }
        model.load_state_dict(numbers)  # what is measured is what is written
        scores = {f"{blanks:g}": right(model, blanks) for blanks in (0, 0.5, 0.9)}
        weights[name] = {"right": scores, **{key: value.tolist() for key, value in numbers.items()}}
        print(name, scores)
    text = json.dumps(weights, ensure_ascii=False).replace('], "', '],\n "').replace("]], [[", "]],\n [[")
    WEIGHTS.write_text(f"// Made by scripts/train_selection.py.\nexport const WEIGHTS = {text};\n", "utf-8")


if __name__ == "__main__":
    main()
