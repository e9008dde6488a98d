"""Who calls: keys, tokens of OpenID providers, client certificates. It knows no model, no policy and no HTTP server."""
