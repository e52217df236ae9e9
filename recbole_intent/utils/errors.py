"""The exception whose message is shown to the user."""


class UserError(ValueError):
    """A user error: bad file, key, value or command.

    Its message is one line that names the file, line or key at fault and says what to do. The
    command line prints it without a traceback and exits with code 2.
    """
