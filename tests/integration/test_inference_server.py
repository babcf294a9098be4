"""A real inference server with a real, tiny, random model: `transformers serve`, probed in both forms, streamed and not.

It is taken from this environment, or from the interpreter that TILTMETER_TRANSFORMERS names; needed are torch, transformers, accelerate,
fastapi and uvicorn.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parts.process import Server, as_child, free_port
from parts.require import lacking
from service.config import Endpoint, Rate
from service.probes.forms import Capabilities
from service.probes.target import TargetClient
from service.records.probes import Call, Message, Reply

PYTHON = os.environ.get("TILTMETER_TRANSFORMERS", sys.executable)

TINY = """
import sys, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
words = Tokenizer(models.BPE({word: i for i, word in enumerate(["<s>", "</s>", *letters])}, []))
words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
words = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>")
words.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\\n{% endfor %}assistant:"
torch.manual_seed(0)
sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4)
LlamaForCausalLM(LlamaConfig(vocab_size=len(words), bos_token_id=0, eos_token_id=1, **sizes)).save_pretrained(sys.argv[1])
words.save_pretrained(sys.argv[1])
"""


class Transformers(Server):
    name = "transformers"
    ready_within = 300.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    def command(self) -> list[str]:
        environment = ["env", f"HF_HOME={self.folder}", "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=1"]
        serve = [PYTHON, "-m", "transformers.cli.transformers", "serve", str(self.folder / "tiny"), "--device", "cpu"]
        return as_child([*environment, *serve, "--port", str(self.port)])

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://localhost:{self.port}/health").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needed = "import accelerate, fastapi, torch, transformers.cli.transformers, uvicorn"
    if subprocess.run([PYTHON, "-c", needed], capture_output=True).returncode:
        lacking("transformers", "no interpreter with transformers' server: name one in TILTMETER_TRANSFORMERS")
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "hub").mkdir()
    subprocess.run([PYTHON, "-c", TINY, str(folder / "tiny")], check=True, capture_output=True)
    server = Transformers(folder).start()
    try:
        yield f"http://localhost:{server.port}/v1"
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_real_server_is_probed(url: str, api: str, stream: bool) -> None:
    async def run() -> tuple[Capabilities, list[Reply]]:
        settings = Endpoint(url=url, api=api, stream=stream, rate=Rate(per_minute=6000))  # type: ignore[arg-type]
        target = TargetClient("live", settings)
        try:
            call = Call((Message("user", "What is the capital of France?"),), max_tokens=8, sampling={"temperature": 0}, salt="a")
            return await target.probe_capabilities("tm1.tag"), [await target.ask(call, "tm1.tag") for _ in range(2)]
        finally:
            await target.aclose()

    can, replies = asyncio.run(run())
    assert can.reached, can.reason
    assert (can.stream, can.usage, can.logprobs) == (stream, True, False)
    for reply in replies:
        assert (reply.error, reply.status, reply.tokens_out, reply.finish) == (None, 200, 8, "length")
        assert reply.text
        assert reply.model is not None
        assert (reply.first_token is not None) == stream
    assert replies[0].text == replies[1].text
