"""The demo end system, "Demo CRM": developer console, authorization server, REST API, and ways to break it on purpose.

It plays the part of any application with an API. It imports nothing of Keyturn and knows nothing of it.
"""
