"""Yahoo Finance through yfinance: a source of bars, and the real cause if it gives no bars."""
