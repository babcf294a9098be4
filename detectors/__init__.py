"""Pure numerics of Tiltmeter: scores, calibration, sketches and sequential detectors. numpy and scipy only."""
