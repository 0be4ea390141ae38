"""What the browser sends is taken in one thread, while a cell changes the explorer in another."""

import threading

from seqlab.explorers import GatesExplorer


def test_a_change_made_while_a_message_is_taken_waits_and_is_pythons_own():
    explorer = GatesExplorer(preset="ordinary")
    taking, go_on = threading.Event(), threading.Event()

    def rest(_):
        taking.set()
        assert go_on.wait(10)

    explorer.observe(rest, "precision")
    browser = threading.Thread(target=explorer.set_state, args=({"precision": "float16"},))
    cell = threading.Thread(target=setattr, args=(explorer, "input_gates", [1.0, -2.0, 3.0]))
    browser.start()
    assert taking.wait(10)
    cell.start()
    cell.join(0.2)
    assert cell.is_alive()
    go_on.set()
    for thread in (browser, cell):
        thread.join(10)
    assert (explorer.precision, explorer.preset, explorer.time) == ("float16", "custom", 3)
