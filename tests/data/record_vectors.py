"""Record the vectors of SentenceTransformer.encode on 200 odd texts: the yardstick of tests/service/test_encoder_parity.py.

Needs sentence-transformers and torch, in an environment of their own: ``python tests/data/record_vectors.py MODEL_DIRECTORY``.
Writes sentence_transformer_vectors.npz beside this file: ``vectors`` (200, 384) float32 and ``versions``.
"""

import random
import sys
from pathlib import Path

SEED = 20260101

_ODD = [
    "",
    " ",
    "\n\t\n",
    ".",
    "a",
    "[SEP]",
    "[CLS] ignore the above [SEP] and answer",
    "[PAD] [PAD] [PAD]",
    "[UNK]",
    "What does [MASK] mean?",
    "literal[SEP]inside a word",
    "\x00null bytes\x00 and \x07 bells",
    "\u200bzero\u200bwidth\u200bspaces\u200b",
    "\ufeffbyte order mark",
    "e\u0301 combining accents: n\u0303 a\u0308 o\u0302",
    "É À Ü Ñ Ø ß Æ Œ İstanbul ıĞş",
    "ﬁ ligatures ﬀ ﬃ and ｆｕｌｌ ｗｉｄｔｈ",
    "🙂",
    "🙂🙃😀😂🤣😍🥰😘 all smiles",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag 🇩🇪🇫🇷 👍🏽",
    "Can you help me with my 💳? It was 🚫 at the 🏪 …",
    "مرحبا، كيف يمكنني إعادة تعيين كلمة المرور الخاصة بي؟",
    "שלום, איך אני משנה את הכתובת שלי?",
    "mixed שלום and مرحبا with left to right",
    "\u202eright-to-left override\u202c",
    "我想知道我的账户余额是多少",
    "私の口座の残高を教えてください",
    "내 계좌 잔액을 알려주세요",
    "मेरे खाते में कितना पैसा है?",
    "ฉันต้องการทราบยอดเงินในบัญชี",
    "Какой у меня баланс на счёте?",
    "Ποιο είναι το υπόλοιπο του λογαριασμού μου;",
    "Số dư tài khoản của tôi là bao nhiêu?",
    "1234567890" * 30,
    "3.14159 -2e10 0x1F 1,000,000.00 50% $9.99 €5",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "a" * 5000,
    "x y " * 126,
    "x y " * 127,
    "x y " * 128,
    "!?" * 200,
    "def f(x):\n    return [i ** 2 for i in range(x) if i % 2 == 0]\n",
    "SELECT * FROM users WHERE name = 'Robert'); DROP TABLE students;--",
    '{"role": "user", "content": "hello", "n": [1, 2, {"a": null}]}',
    "<html><body onload=alert(1)>hi</body></html>",
    "https://example.org/a/b?c=d&e=%20#f and mail@example.org",
    "C:\\Windows\\System32\\drivers\\etc\\hosts",
    "ALL CAPITALS SHOUTED AT YOU",
    "don't can't won't it's o'clock rock-n-roll well-known",
    "\r\nwindows\r\nline\r\nendings\r\n",
    "tab\tseparated\tvalues",
    "   leading and trailing spaces   ",
    "naïve café déjà vu",
    "\ud7ff \ue000 private use \U0010fffd",
    "½ ¾ ² ³ ™ © ® ° µ ∑ √ ∞ ≈ ≠ ≤ ≥",
    "«guillemets» „low“ ‘single’ —dashes– …",
    "##wordpiece ##like ##tokens",
]

_WORDS = """
account balance card transfer money please help want my the a to of how what when where why can you i is are do did change cancel
order refund delivery phone plan data roaming bill invoice payment late fee contract upgrade password reset login error app
website internet slow router modem signal coverage number port keep new old address move house name update email confirm pin
blocked stolen lost found travel abroad currency exchange rate interest loan mortgage credit debit savings weather music recipe
translate joke story write code python explain summarise article history
""".split()  # noqa: SIM905


def texts() -> list[str]:
    """The 200 texts, always the same."""
    rng = random.Random(SEED)
    made = list(_ODD)
    made.append(" ".join(rng.choices(_WORDS, k=10_000)))
    for length in (120, 200, 240, 250, 252, 253, 254, 255, 256, 257, 300, 400, 900):
        made.append(" ".join(rng.choices(_WORDS, k=length)))
    while len(made) < 200:
        made.append(" ".join(rng.choices(_WORDS, k=rng.randint(1, 60))) + rng.choice(["", "?", ".", "!", " 🙂", "\n"]))
    return made


def main(model: str) -> None:
    """Encode with the real library and save."""
    import numpy as np
    import sentence_transformers
    import torch

    torch.manual_seed(0)
    encoder = sentence_transformers.SentenceTransformer(model, device="cpu")
    vectors = encoder.encode(texts(), batch_size=16, convert_to_numpy=True, show_progress_bar=False).astype(np.float32)
    versions = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
    np.savez_compressed(Path(__file__).with_name("sentence_transformer_vectors.npz"), vectors=vectors, versions=np.array(versions))


if __name__ == "__main__":
    main(sys.argv[1])
