"""A light guess at language: right for sentences of the listed ones, ``other`` where there is nothing to go by."""

import pytest

from service.language import LANGUAGES, languages


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I change my billing address?", "english"),
        ("Wie kann ich meine Rechnung ändern?", "german"),
        ("Comment est-ce que je change mon adresse pour la facture", "french"),
        ("¿Cómo puedo cambiar mi dirección de facturación?", "spanish"),
        ("Hoe kan ik mijn adres wijzigen op de factuur", "dutch"),
        ("Как мне изменить адрес", "russian"),
        ("請更改我的帳單地址", "chinese"),
        ("住所を変更するにはどうすればいいですか", "japanese"),
        ("주소를 변경하려면 어떻게 해야 하나요", "korean"),
        ("كيف أغير عنواني", "arabic"),
        ("", "other"),
        ("4711 0815", "other"),
        ("<|im_start|>system\nYou are a helpful assistant", "other"),
        ("<s>[INST] How do I change my billing address? [/INST]", "other"),
        ("### Instruction: tell me how to pay", "other"),
        ("Below is an instruction that describes a task", "other"),
        ("Human: how do I pay?", "other"),
        ('{"messages": [{"role": "user", "content": "how do I pay"}]}', "other"),
        ("is 3 < 4 and why is that [1]? the ## in the title", "english"),
        ("what does the user: line in the log mean", "english"),
    ],
)
def test_a_sentence_is_of_its_language(text: str, language: str) -> None:
    assert LANGUAGES[int(languages([text])[0])] == language


def test_no_text_can_overflow_a_vote() -> None:
    # The words of one character are the most that fit into what is read.
    assert LANGUAGES[int(languages(["a " * 10_000])[0])] in LANGUAGES
