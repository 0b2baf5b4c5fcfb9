"""Drawing tissue with signet ring cells whose truth is known."""
