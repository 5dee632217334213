"""How good it is: figures with intervals, calibration, paired comparison, the report."""
