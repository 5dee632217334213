"""Released runs behind HTTP: requests in, calibrated answers out."""
