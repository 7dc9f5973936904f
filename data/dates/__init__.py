"""Dates: timestamps and the ones that come next, and the exchanges' calendars.

Enter at `data.dates.timestamps`.
May import `data.errors` only.
"""
