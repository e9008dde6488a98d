"""One call's way through: identify, classify, authorize, admit, route, dispatch, relay, settle."""
