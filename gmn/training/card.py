"""The model card: a bundle's README for people (Mitchell et al. 2019)."""

from typing import Any

from gmn.models.bundle import Bundle


def model_card(bundle: Bundle) -> str:
    """Write what the model is, what it learned from, how good it is and what it is not for, as Markdown."""
    facts = bundle.facts
    dataset, training = facts["dataset"], facts["training"]
    counts = dataset["counts"]
    what = f"classifier of {' and '.join(bundle.heads)}" if bundle.heads else "generator of raw audio"
    lines = [
        f"# {bundle.model.kind}: a {what}",
        "",
        f"{facts['parameters']:,} parameters, audio at {bundle.sample_rate} Hz.",
        "",
        "## Learned from",
        f"Dataset `{dataset['uri']}`, digest `{dataset['digest'][:12]}`: {counts['tracks']} tracks, "
        f"{counts['hours']} hours, of which {counts['splits'].get('train', 0)} tracks were trained on.",
        _effort(training) + f"{facts['train_seconds']:.0f} seconds.",
        "",
        "## Judged on held-out tracks",
        *([line for head in bundle.heads for line in _judge(head, facts["test"][head])] or _generator(facts["test"])),
        "",
        "## Not for",
        "Claims about music unlike the tracks above; the test tracks come from the same collection.",
    ]
    return "\n".join(lines) + "\n"


def _effort(training: dict[str, Any]) -> str:
    if "fit" not in training:
        return f"{training['model']['neighbours']} neighbours by {training['model']['metric']} distance, "
    fit = training["fit"]
    return f"{fit['steps']} steps of {fit['batch_size']} examples, seed {training['seed']}, "


def _judge(head: str, test: dict[str, Any]) -> list[str]:
    if head == "genre":
        low, high = test["interval"]
        return [
            f"Genre: accuracy {test['accuracy']:.3f} (95 %: {low:.2f} to {high:.2f}) on {test['tracks']} tracks, macro "
            f"F1 {test['macro_f1']:.3f}; always naming the commonest genre gives {test['majority']:.3f}."
        ]
    each = ", ".join(f"{name} {r:.2f}" for name, r in test["r"].items())
    return [f"Emotion: Pearson's r, mean over the rates, {test['mean_r']:.3f} on {test['tracks']} tracks: {each}."]


def _generator(test: dict[str, Any]) -> list[str]:
    ladder = ", ".join(f"{name} {bits:.2f}" for name, bits in test["ladder"].items())
    lines = [f"{test['bits']:.3f} bits per sample on {test['tracks']} tracks ({ladder}). {test['sentence']}"]
    for name, found in test.get("conditions", {}).items():
        low, high = found["interval"]
        lines.append(
            f"Knowing a track's {name}, instead of being told another's, saves {found['gain']:.3f} bits per sample "
            f"(95 %: {low:.3f} to {high:.3f}, {found['tracks']} tracks)."
        )
    return lines
