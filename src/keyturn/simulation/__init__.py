"""The proof of refreshing, for anyone to repeat: an authorization server with faults, workers that are killed, a judge.

It imports the product and is imported by nothing but the operator command; the product knows nothing of it.
"""
