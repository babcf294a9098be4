"""The traffic of compose.yaml: questions of a set, through the tap."""

import gzip
import itertools
import json
from pathlib import Path

from asgi_middleware import TiltmeterTap
from tap_servers import real, until, uvicorn_of
from tiltmeter_sender import Sender

from examples.toy_traffic import ask, endless, questions
from service.main.demo.toy_endpoint import create_app
from service.main.demo.toy_model import Behaviour, ToyModel

FERNHILL = Path(__file__).resolve().parents[2] / "examples" / "fernhill" / "finetune.jsonl.gz"


def test_every_form_of_a_set_is_read(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"prompt": "two"}, {"messages": [{"role": "user", "content": "no"}, {"role": "user", "content": "three"}]}]
    with gzip.open(tmp_path / "set.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, rows)))
    assert questions(tmp_path / "set.jsonl.gz") == ["one", "two", "three"]
    assert len(questions(FERNHILL)) > 1000


def test_the_same_questions_come_again_in_another_order() -> None:
    texts = [str(i) for i in range(50)]
    asked = list(itertools.islice(endless(texts, 1), 100))
    assert sorted(asked[:50]) == sorted(asked[50:]) == sorted(texts)
    assert asked[:50] != asked[50:]


def test_what_it_asks_arrives() -> None:
    with real() as service:
        sender = Sender(service.url, service.token, linger=0.01)
        with uvicorn_of(TiltmeterTap(create_app(ToyModel(Behaviour())), sender)) as url:
            assert ask(url, "support-bot", "How do I reset my PIN?")
            until(lambda: sender.stats().accepted == 1)
        assert not ask(url, "support-bot", "Is anybody there?")
        assert [prompt.text for prompt in service.counted] == ["How do I reset my PIN?"]
        sender.close()
