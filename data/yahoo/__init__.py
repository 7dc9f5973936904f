"""Yahoo Finance through yfinance: a source of bars, and the real cause where it gives none."""
