from cluster.timings import Pauses


def test_pauses_are_counted_by_how_long_they_were():
    pauses = Pauses()
    for late_s in (0.0, 0.005, 0.006, 0.011, 0.3, 0.7):
        pauses.add(late_s)
    assert pauses.longer_than() == {
        "5": 4, "10": 3, "20": 2, "50": 2, "100": 2, "200": 2, "500": 1,
    }  # fmt: skip
    assert pauses.longest_s == 0.7
