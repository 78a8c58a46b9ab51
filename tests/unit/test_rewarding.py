"""Reward models as targets: read as their own code reads them, and asked for nothing that they don't have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.cache import ResultCache
from auditkit.conclude import conclude, not_assessable
from auditkit.engine import observe
from auditkit.errors import PromptTooLong, SubjectError, TargetRefused
from auditkit.machine import estimate_s
from auditkit.model import Access, ModelKind, Outcome, Prompt, Turn
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, parse_spec
from auditkit.targets.rewarding import LocalReward
from auditkit.testing import FakeSubject, Muted

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
LLAMA = {"vocab_size": 128, "num_hidden_layers": 4, "hidden_size": 32, "intermediate_size": 48,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512}  # fmt: skip
BERT = {"vocab_size": 128, "num_hidden_layers": 4, "hidden_size": 32, "intermediate_size": 48,
        "num_attention_heads": 4}  # fmt: skip


def told(question: str, answer: str) -> Prompt:
    return Prompt(turns=(Turn(role="user", text=question), Turn(role="assistant", text=answer)))


ASKED = [
    told("hi?", "Yes, it is so."),
    told("What is it about?", "No."),
    told("a", "b" * 40),
    told("Why not?", "Because."),
]


def make(kind: str = "Llama", **config: Any) -> Any:
    import torch
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.manual_seed(0)
    sizes = LLAMA | {"bos_token_id": 0, "eos_token_id": 1} if kind == "Llama" else BERT
    made = getattr(transformers, f"{kind}Config")(**{**sizes, **config})
    model = getattr(transformers, f"{kind}ForSequenceClassification")(made)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(4)
    return model


@pytest.fixture
def written(new_tokenizer: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Write a reward model's folder: ``written(model, template=…)``."""

    def write(model: Any, **tokenizer: Any) -> Path:
        folder = tmp_path / "reward"
        model.save_pretrained(folder)
        new_tokenizer(**{"template": TEMPLATE, **tokenizer}).save_pretrained(folder)
        return folder

    return write


def alone(target: LocalTarget, text: str) -> float:
    """What the model itself gives one text, read without padding."""
    import torch

    ids = target.encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = target.model(input_ids=torch.tensor([ids])).logits[0]
    return float(logits[0] if len(logits) == 1 else logits[1] - logits[0])


@pytest.mark.parametrize("pad", [1, 5, None, -1])
@pytest.mark.parametrize("n_labels", [1, 2])
def test_a_reward_is_what_the_model_gives_the_closed_conversation_alone(
    written: Callable[..., Path], pad: int | None, n_labels: int
) -> None:
    target = load(parse_spec(str(written(make(num_labels=n_labels, pad_token_id=pad)))))
    assert isinstance(target, LocalReward)
    assert target.kind is ModelKind.REWARD
    found = target.rewards(ASKED)
    closed = ["".join(f"<{t.role}>{t.text}\n" for t in p.turns) for p in ASKED]
    assert np.allclose(found, [alone(target, text) for text in closed], atol=1e-6)
    assert np.ptp(found) > 0.01


def test_the_report_says_what_two_labels_mean(written: Callable[..., Path]) -> None:
    names = {0: "worse", 1: "better"}
    target = load(parse_spec(str(written(make(num_labels=2, id2label=names)))))
    said = target.describe()
    assert said["kind"] == "reward_model"
    assert said["reward"] == "logit of label 'better' minus logit of label 'worse'"


def test_three_labels_say_nothing_of_which_is_better(written: Callable[..., Path]) -> None:
    with pytest.raises(TargetRefused, match=r"num_labels, got 3, expected 1 \(a reward\) or 2"):
        load(parse_spec(str(written(make(num_labels=3)))))


def test_without_a_chat_template_it_reads_plain_text_with_the_tokenizers_specials(
    written: Callable[..., Path],
) -> None:
    target = load(parse_spec(str(written(make(num_labels=1), template=None, specials=True))))
    assert "no chat template" in str(target.describe()["chat_format"])
    text = "<s>User: hi?\n\nAssistant: Yes, it is so.</s>"
    assert target.encoder.text(target.encoder.conversation(ASKED[0])) in text
    inner = target.encoder.tokenizer("User: hi?\n\nAssistant: Yes, it is so.")["input_ids"]
    assert target.encoder.conversation(ASKED[0]) == inner
    assert (inner[0], inner[-1]) == (0, 1)


def test_an_encoder_is_a_reward_model_too(written: Callable[..., Path]) -> None:
    folder = written(make("Bert", num_labels=1), template=None, specials=True)
    target = load(parse_spec(str(folder)))
    assert len(set(target.rewards(ASKED))) == len(ASKED)
    assert target.activations(ASKED, layers=[0, 3]).shape == (2, len(ASKED), 32)


def test_activations_are_of_the_conversation_that_is_paid_for(
    written: Callable[..., Path],
) -> None:
    import torch

    target = load(parse_spec(str(written(make(num_labels=1, pad_token_id=1)))))
    held = target.activations(ASKED, layers=[1])[0, 0]
    ids = torch.tensor([target.encoder.conversation(ASKED[0])])
    states = target.model(input_ids=ids, output_hidden_states=True).hidden_states
    assert np.allclose(held, states[2][0, -1].numpy(), atol=1e-6)


def test_a_prompt_without_an_answer_has_no_reward(written: Callable[..., Path]) -> None:
    target = load(parse_spec(str(written(make(num_labels=1)))))
    question = Prompt(turns=(Turn(role="user", text="hi?"),))
    with pytest.raises(SubjectError, match="ends with the user"):
        target.rewards([question])
    with pytest.raises(PromptTooLong):
        target.rewards([told("hi?", "x" * 600)])


def test_a_reward_that_is_no_number_is_an_error(written: Callable[..., Path]) -> None:
    model = make(num_labels=1)
    model.score.weight.data.fill_(float("nan"))
    target = load(parse_spec(str(written(model))))
    with pytest.raises(SubjectError, match="NaN or infinity for 4 of 4 texts"):
        target.rewards(ASKED)


def test_tokens_that_the_model_does_not_have_are_an_error(written: Callable[..., Path]) -> None:
    target = load(parse_spec(str(written(make(num_labels=1, vocab_size=40)))))
    with pytest.raises(SubjectError, match="expected ids below 40"):
        target.rewards(ASKED)


def test_the_cache_decides_nothing(written: Callable[..., Path], tmp_path: Path) -> None:
    spec = parse_spec(str(written(make(num_labels=1, pad_token_id=1))))
    plain = load(spec).rewards(ASKED)
    cached = load(spec, cache=ResultCache(tmp_path / "cache"))
    assert cached.rewards(ASKED) == plain
    cached.model.score.weight.data.zero_()
    assert cached.rewards(ASKED) == plain, "the second time nothing is computed"


def test_a_language_model_has_no_rewards_and_a_reward_model_no_words(
    written: Callable[..., Path], saved: Path
) -> None:
    language = load(parse_spec(str(saved)))
    assert language.kind is ModelKind.LANGUAGE
    with pytest.raises(SubjectError, match="a question for a reward model, expected none"):
        language.rewards(ASKED)
    reward = load(parse_spec(str(written(make(num_labels=1)))))
    with pytest.raises(SubjectError, match="a question for a language model, expected none"):
        reward.logprobs(ASKED, [[" yes"]] * len(ASKED))
    with pytest.raises(SubjectError, match="it is a reward model"):
        reward.generate(ASKED, max_new_tokens=1)


def test_the_kind_is_what_the_config_says(saved: Path, tmp_path: Path) -> None:
    """A classifier whose embeddings could pass for a language model's head is not taken for one."""
    import torch
    import transformers

    tied = transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True, num_labels=1)
    torch.manual_seed(0)
    transformers.LlamaForSequenceClassification(tied).save_pretrained(tmp_path / "tied")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "tied" / name).write_bytes((saved / name).read_bytes())
    assert isinstance(load(parse_spec(str(tmp_path / "tied"))), LocalReward)


def test_a_classifier_without_its_head_is_refused(written: Callable[..., Path]) -> None:
    """Transformers would draw a head at random and say so in a warning."""
    from safetensors.torch import load_file, save_file

    folder = written(make(num_labels=1))
    tensors = load_file(folder / "model.safetensors")
    del tensors["score.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TargetRefused, match="1 tensors missing"):
        load(parse_spec(str(folder)))


def test_an_adapter_goes_on_a_reward_model(written: Callable[..., Path], tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    base = written(make(num_labels=1, pad_token_id=1))
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="SEQ_CLS")
    adapted = get_peft_model(make(num_labels=1, pad_token_id=1), config)
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "score" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    (tmp_path / "adapter" / "README.md").unlink(missing_ok=True)
    target = load(parse_spec(f"{base}+{tmp_path / 'adapter'}"))
    with torch.no_grad():
        ids = torch.tensor([target.encoder.conversation(ASKED[0])])
        own = float(adapted.eval()(input_ids=ids).logits[0, 0])
    assert target.rewards(ASKED[:1])[0] == pytest.approx(own, abs=1e-4)


def test_code_and_pickles_are_refused_as_everywhere(written: Callable[..., Path]) -> None:
    folder = written(make(num_labels=1))
    config = json.loads((folder / "config.json").read_bytes())
    config["auto_map"] = {"AutoModelForSequenceClassification": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TargetRefused, match="trust_remote_code"):
        load(parse_spec(str(folder)))


def test_checks_are_for_one_kind_of_model() -> None:
    from auditkit_checks.knowledge_gap.check import KnowledgeGap
    from auditkit_checks.reward.check import RewardAudit

    assert not_assessable(RewardAudit(), Access.WEIGHTS, ModelKind.REWARD) is None
    reason, sentence = not_assessable(RewardAudit(), Access.WEIGHTS, ModelKind.LANGUAGE) or ("", "")
    assert reason == "not_a_reward_model"
    assert sentence == "The check asks a reward model; the target is a language model."
    reason, _ = not_assessable(KnowledgeGap(), Access.WEIGHTS, ModelKind.REWARD) or ("", "")
    assert reason == "not_a_language_model"


def test_of_another_kind_of_model_nothing_is_asked(tmp_path: Path) -> None:
    def asked(prompt: Prompt) -> float:
        pytest.fail(f"asked: {prompt}")

    plan = Plan(name="both", checks=(PlannedCheck(id="deception.knowledge_gap"),))
    (evidence,) = observe(plan, FakeSubject(reward=asked), Store(tmp_path), lambda _: None)
    assert evidence.subjects == ()
    assert evidence.not_assessed is not None
    (result,) = conclude([evidence], plan)
    assert result.verdict.outcome is Outcome.NOT_ASSESSED
    assert result.verdict.reason == "not_a_language_model"


@pytest.mark.parametrize("subject", [FakeSubject(), FakeSubject(reward=lambda p: len(p.text))])
def test_either_kind_is_timed_by_what_it_can_do(subject: FakeSubject) -> None:
    checks = tuple(PlannedCheck(id=name) for name in ("deception.knowledge_gap", "reward.audit"))
    took = estimate_s(Plan(name="both", checks=checks), subject)
    wanted = {ModelKind.LANGUAGE: "deception.knowledge_gap", ModelKind.REWARD: "reward.audit"}
    assert list(took) == [wanted[subject.kind]]


def test_a_scripted_reward_model_is_one() -> None:
    subject = FakeSubject(reward=lambda p: float(len(p.text)))
    assert subject.rewards([told("a", "b")]) == [3.0]
    assert subject.kind is ModelKind.REWARD
    with pytest.raises(SubjectError, match="a question for a language model"):
        subject.generate([told("a", "b")], max_new_tokens=1)
    with pytest.raises(SubjectError, match="a question for a reward model"):
        FakeSubject().rewards([told("a", "b")])
    twin = subject.counterpart("untrained")
    assert twin is not None
    assert twin.rewards([told("a", "b")]) != [3.0]
    assert np.isnan(Muted(subject=subject, how="nan").rewards([told("a", "b")])).all()
    assert Muted(subject=subject, how="empty").rewards([told("a", "b")]) == []
