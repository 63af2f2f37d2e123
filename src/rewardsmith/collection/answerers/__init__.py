"""Who answers: a server asked request by request, a server's batches, a model on this machine."""
