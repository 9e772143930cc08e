"""The registry in SQL: read `registry.py` first, which has the contract; then `writing.py` and `audience.py`.
`singly.py` gathers the writes of single documents.

Functions of these modules work inside the transaction of their caller, make one round trip a statement, and decide in
`hub/store/decide/`.
"""
