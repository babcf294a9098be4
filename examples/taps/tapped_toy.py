"""The toy endpoint behind the middleware, with its prompts going to Kafka: what compose.yaml shows.

KAFKA=localhost:9092 uvicorn --app-dir examples/taps tapped_toy:app
"""

import os

from asgi_middleware import TiltmeterTap
from kafka_producer import KafkaSender

from service.main.demo.toy_endpoint import create_app
from service.main.demo.toy_model import Behaviour, ToyModel

app = TiltmeterTap(create_app(ToyModel(Behaviour())), KafkaSender(os.environ["KAFKA"], "prompts"))
