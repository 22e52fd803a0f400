"""A checker that holds tensor libraries to an executable specification.

Data flows one way: specs -> cases -> backends -> observations -> oracles -> verdicts
-> store -> reports.
"""

__version__ = "0.1.0"
