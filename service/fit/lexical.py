"""The lexical term of a bundle: from the encoder's own table of token embeddings, and the tokens of the reference."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from detectors.lexical import Lexicon, shared_tokens
from detectors.scores import Lexical
from service.bundle import ENCODER_GRAPH, LEXICON, TOKENIZER, save_lexicon


def fit_lexical(
    ids: NDArray[np.int32], lengths: NDArray[np.int32], source: NDArray[np.int64], nearest: NDArray[np.int64], out: Path
) -> Lexical | None:
    """Fit the term on the reference and write the lexicon into ``out``, where encoder and tokenizer are.

    Args:
        ids: tokens of all reference rows, one row after the other.
        lengths: (N,) tokens of each row.
        source: (N,) group or cluster of each row.
        nearest: (N, k) each row's nearest others.
        out: directory of the bundle.

    Returns: None where the encoder's graph shows no table of tokens, or where rows share no token; nothing is written then.
    """
    tokenizer = Tokenizer.from_file(str(out / TOKENIZER))
    table = token_table(out / ENCODER_GRAPH, tokenizer.get_vocab_size())
    silent = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    tokens = shared_tokens(ids, lengths, source, silent)
    if table is None or not tokens.size:
        return None
    with threadpool_limits(limits=1):  # the order of additions must not depend on timing
        lexicon = Lexicon.fit(table, tokens, ids, lengths)
    save_lexicon(out / LEXICON, lexicon)
    return Lexical.fit(lexicon.vectors(ids, lengths), nearest)


def token_table(graph: Path, tokens: int) -> NDArray[np.float32] | None:
    """(V, d) float32: the one constant that rows are gathered from and that has at least ``tokens`` rows; None without it.

    Graphs built here and graphs of torch's exporter both look tokens up in such a table.
    """
    content = onnx.load(str(graph)).graph
    gathered = {node.input[0] for node in content.node if node.op_type == "Gather"}
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    found = [each for each in content.initializer if each.name in gathered and len(each.dims) == 2 and each.data_type in floats]
    found = [each for each in found if each.dims[0] >= tokens]
    return np.asarray(onnx.numpy_helper.to_array(found[0]), np.float32) if len(found) == 1 else None
