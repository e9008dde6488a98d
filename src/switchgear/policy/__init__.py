"""May this call run there: data classes, the content screen, authorization, residency."""
