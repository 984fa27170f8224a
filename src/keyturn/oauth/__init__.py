"""OAuth 2.0 as a client, pure: values in, values out. No I/O, no clock, no product word.

Each endpoint is a pair: `x_request` makes the request, `process_x_response` reads the answer or raises `OAuthError`.
"""
