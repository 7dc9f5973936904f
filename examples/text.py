"""Train a character model on a part of the shipped Shakespeare, score it on another part, and let it write."""

from __future__ import annotations

from gatecast import CharLM, sample_text


def main(characters: int = 200_000, max_epochs: int = 3) -> str:
    """Train on the first `characters` of the sample; `gatecast text train` takes all of them and three minutes."""
    text = sample_text()
    model = CharLM(hidden_size=128, max_epochs=max_epochs, seed=0)
    model.fit(
        text[:characters],
        on_epoch=lambda record: print(f"epoch {record.epoch}: {record.validation_loss:.3f} nats per character"),
    )
    scores = model.evaluate(text[-10_000:])
    print(f"{scores['bits_per_char']:.3f} bits per character, perplexity {scores['perplexity']:.2f}")

    written = model.generate("ROMEO:", 300, temperature=0.8, seed=0)
    print(written)
    return written


if __name__ == "__main__":
    main()
