"""Leaven's methods as scikit-learn estimators."""
