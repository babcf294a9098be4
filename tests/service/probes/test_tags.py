import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Fields, HttpSource, Model, Windows
from service.probes.tags import LONGEST_AGE, Canary, Returns, Seen, run_digest, sign, verify
from service.records import Prompt
from service.source.decode import Decoder, Reason, Rejection
from service.source.http import HttpSource as Source

KEY, OTHER = b"a key of sixteen bytes", b"another key, also long"
NOW = 1_800_000_030.0
TAG = sign("live", "support/live/core/1800000000", NOW, KEY)


def test_a_tag_says_target_run_and_minute_and_fits_a_header() -> None:
    assert verify(TAG, KEY, NOW) == Canary("live", run_digest("support/live/core/1800000000"), 1_800_000_000.0)
    assert len(TAG) <= 80
    assert TAG.isascii()
    assert sign("live", "r", NOW, KEY) != sign("live", "r", NOW, KEY)


@given(st.text(min_size=1, max_size=20), st.text(max_size=30))
def test_every_name_survives(target: str, run: str) -> None:
    target, run = (text.encode(errors="ignore").decode() for text in (target, run))
    found = verify(sign(target or "x", run, NOW, KEY), KEY, NOW)
    assert found is not None
    assert (found.target, found.run) == (target or "x", run_digest(run))


@pytest.mark.parametrize("change", range(len(TAG)))
def test_a_tag_changed_anywhere_is_worth_nothing(change: int) -> None:
    for letter in "Aa0.":
        if TAG[change] != letter:
            changed = TAG[:change] + letter + TAG[change + 1 :]
            # The last letter of 16 bytes in base 64 has two bits that say nothing.
            assert verify(changed, KEY, NOW) is None or change == len(TAG) - 1


def test_a_tag_of_another_key_or_time_is_worth_nothing() -> None:
    assert verify(TAG, OTHER, NOW) is None
    assert verify(TAG, KEY, NOW + LONGEST_AGE - 60) is not None
    assert verify(TAG, KEY, NOW + LONGEST_AGE + 60) is None
    assert verify(TAG, KEY, NOW - LONGEST_AGE - 60) is None
    assert verify(TAG, KEY, None) is not None
    assert verify("", KEY, NOW) is verify("tm1.", KEY, NOW) is None


RECORDS = [
    {"text": "2+2=", "headers": {"X-Tiltmeter-Canary": TAG}},
    {"text": "2+2=", "user": TAG},
    {"request": {"headers": [["x-tiltmeter-canary", TAG]], "body": {"messages": [{"role": "user", "content": "2+2="}], "user": TAG}}},
    {"text": "2+2=", "model": "nobody's", "metadata": {"tag": f"a={TAG};b=c"}},
    {"attributes": {"http.request.header.x-tiltmeter-canary": [TAG], "gen_ai.prompt": "2+2="}},
    {"body": json.dumps({"prompt": "2+2=", "user": TAG})},
]


def decoder(key: bytes = KEY, **more: object) -> tuple[Decoder, Returns]:
    returns = Returns(key, **more)  # type: ignore[arg-type]
    return Decoder(Fields(), {"bot": Model(bundle=Path("b"), wire_names=["gpt"])}, 20.0, returns), returns


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_record_with_a_tag_is_rejected_as_a_canary_and_counted_by_target(record: dict[str, object], as_bytes: bool) -> None:
    decode, returns = decoder()
    found = decode.decode(json.dumps(record).encode() if as_bytes else record, NOW + 5, "x")
    assert isinstance(found, Rejection)
    assert found.reason is Reason.CANARY
    assert returns.seen() == {"live": Seen(1, NOW + 5)}


@pytest.mark.parametrize(
    "tag",
    [sign("live", "r", NOW, OTHER), TAG[:-3] + "abc", "tm1.live", sign("live", "r", NOW - 86400, KEY), "test", " ".join(["tm1.a.b"] * 99)],
)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_forged_tag_changes_nothing(tag: str, as_bytes: bool) -> None:
    decode, returns = decoder()
    record = {"text": "2+2=", "user": tag, "headers": {"X-Tiltmeter-Canary": tag, "baggage": "user_agent.synthetic.type=test"}}
    found = decode.decode(json.dumps(record).encode() if as_bytes else record, NOW, "x")
    assert isinstance(found, Prompt)
    assert returns.seen() == {}


def test_a_record_without_a_time_of_its_transport_is_told_by_its_tag_alone() -> None:
    decode, returns = decoder()
    assert decode.decode({"text": "2+2=", "user": TAG}, None, "x") == Rejection(Reason.CANARY, "a signed tag of ours")
    assert returns.seen() == {"live": Seen(1, 1_800_000_000.0)}


def test_where_tags_get_lost_the_exact_text_tells_with_or_without_a_salt() -> None:
    decode, returns = decoder(prompts={"app": ["What is a caldera?"]})
    for text, mine in (
        ("What is a caldera?", True),
        ("What is a caldera?\n\n(ref 0123abcd)", True),
        ("What is a caldera? ", False),
        ("What is a crater?", False),
    ):
        assert isinstance(decode.decode({"text": text}, NOW, "x"), Rejection) == mine, text
    assert returns.seen() == {"app": Seen(2, NOW)}


def test_a_post_with_canaries_counts_the_rest_and_tells_how_many_were_left_out() -> None:
    decode, returns = decoder()
    source = Source(HttpSource(), decode, Windows(), instance="one", ledger=None, clock=lambda: NOW)
    answer = source.offer([{"text": "a"}, {"text": "2+2=", "user": TAG}, {"text": "b"}])
    batch = source.poll(10, 0.0)
    assert [prompt.text for prompt in batch.prompts] == ["a", "b"]
    assert batch.rejected == {"canary": 1}
    source.committed(batch)
    assert answer.result(0).counted == 2
    assert source.offer([{"text": "2+2=", "user": TAG}]).result(0).counted == 0
    assert source.poll(10, 0.0).rejected == {"canary": 1}
    assert source.poll(10, 0.0).rejected == {}
    assert returns.seen()["live"].returned == 2
