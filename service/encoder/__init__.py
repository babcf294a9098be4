"""From texts to scores: tokens, encoder graph, scorer graph, on one device. ONNX Runtime and tokenizers only."""

from service.encoder.encoder import Encoded, Encoder, VectorPart
from service.encoder.scorer import Scorer, ScorerGraph
from service.encoder.session import available_cores

__all__ = ["Encoded", "Encoder", "Scorer", "ScorerGraph", "VectorPart", "available_cores"]
