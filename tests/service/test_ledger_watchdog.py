import math
import os
import signal
import subprocess
import sys
import time

from service.ledger.watchdog import Watchdog


def test_a_step_that_does_not_come_back_ends_the_process():
    program = "import time\nfrom service.ledger.watchdog import Watchdog\nwith Watchdog(limit=2, tick=0.05).limit('flush'): pass\n"
    program += "dog = Watchdog(limit=2, tick=0.05).__enter__()\nwith dog.limit('flush'): time.sleep(60)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "flush took longer than 2 s" in done.stderr


def test_short_steps_and_pauses_between_them_are_left_alone():
    late = []
    with Watchdog(limit=3, expired=lambda *what: late.append(what), tick=0.02) as dog:
        for _ in range(8):
            with dog.limit("flush"):
                time.sleep(0.03)
        time.sleep(0.2)
        assert late == []
        with dog.limit("flush"):
            time.sleep(0.3)
    assert late == [("flush", 3)]


def test_a_process_that_was_frozen_is_not_late_by_that():
    program = (
        "import sys, time\nfrom service.ledger.watchdog import Watchdog\n"
        "with Watchdog(limit=10, tick=0.1) as dog, dog.limit('flush'):\n    print('in', flush=True)\n"
        "    time.sleep(0.3)\nprint('out', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(process.pid, signal.SIGCONT)
    assert process.communicate(timeout=20)[0] == "out\n"
    assert process.returncode == 0


def test_a_step_without_a_limit_may_take_as_long_as_it_takes():
    expired = []
    with Watchdog(limit=math.inf, expired=lambda *step: expired.append(step), tick=0.001) as watchdog, watchdog.limit("flush"):
        time.sleep(0.1)
    assert not expired
