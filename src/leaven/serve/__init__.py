"""The faces that people meet in a browser: pages and the server behind them."""
