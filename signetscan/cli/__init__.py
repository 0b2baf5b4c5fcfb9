"""The command line. Commands parse, call the library and print; nothing else imports click or rich."""
