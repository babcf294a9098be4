"""The demonstration: a bank's support assistant, four weeks of its past and one eventful week, played through the real service."""


def play(*, leave: bool, kafka: bool, port: int, seed: int) -> int:
    """``tiltmeter demo``; the exit status.

    Args:
        leave: end when the story is told instead of serving the page.
        kafka: play it through a real broker.
        port: of the page; 0 takes a free one.
        seed: of the traffic.
    """
    from service.main.demo.performance import perform

    return perform(leave=leave, kafka=kafka, port=port, seed=seed)
